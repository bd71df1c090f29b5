//! Datasets for training from bags: LeRobotDataset v3 and robomimic HDF5.
