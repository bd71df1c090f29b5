//! MuJoCo physics of a cell: arms, grippers, parts, wrench sensors, and drivers that obey the permit.
