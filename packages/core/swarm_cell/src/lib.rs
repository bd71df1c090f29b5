//! The cell's declaration (config/cell.yaml), read with all mistakes of the file reported at once.
