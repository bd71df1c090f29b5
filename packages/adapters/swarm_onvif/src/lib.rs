//! ONVIF cameras found and set up.
