//! Evidence of capture: discovery, synchronisation, loss, power cuts, load, snapshots.
