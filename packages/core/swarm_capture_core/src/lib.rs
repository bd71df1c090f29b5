//! Clock fit of cameras, grouping of their frames, accounting of what was lost: plain values in, plain values out.
