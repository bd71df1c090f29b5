//! The operator's command line: cell.
