//! A topic as a bag knows it.

use crate::definition::{Definition, DefinitionError, Definitions};
use crate::msg::Message;
use crate::qos::{Profiles, Qos};

/// Name, type and everything a player needs to publish it again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topic {
    pub name: String,
    /// `package/msg/Name`.
    pub type_name: String,
    /// `cdr`, with every middleware there is.
    pub serialization: String,
    pub definition: Definition,
    /// List of offered QoS profiles as YAML, as it stands in the bag; see [`Qos::to_yaml`].
    pub offered_qos: String,
}

impl Topic {
    /// A topic that carries `M`, one of the suite's messages.
    pub fn of<M: Message>(name: &str, qos: Qos) -> Result<Self, DefinitionError> {
        Self::new(name, M::TYPE, qos, &Definitions::suite())
    }

    /// A topic of any type that `definitions` know.
    pub fn new(
        name: &str,
        type_name: &str,
        qos: Qos,
        definitions: &Definitions,
    ) -> Result<Self, DefinitionError> {
        Ok(Self {
            name: name.to_owned(),
            type_name: type_name.to_owned(),
            serialization: "cdr".to_owned(),
            definition: definitions.describe(type_name)?,
            offered_qos: qos.to_yaml(),
        })
    }

    /// Whether its messages are compressed already, so that nothing makes them smaller.
    pub(crate) fn is_compressed(&self) -> bool {
        const COMPRESSED: [&str; 4] = [
            "ffmpeg_image_transport_msgs/msg/FFMPEGPacket",
            "foxglove_msgs/msg/CompressedImage",
            "foxglove_msgs/msg/CompressedVideo",
            "sensor_msgs/msg/CompressedImage",
        ];
        COMPRESSED.contains(&self.type_name.as_str())
    }

    /// Whether a late subscriber is given its messages: what a snapshot and a late recording must have too.
    pub fn is_latched(&self) -> bool {
        Profiles::parse(&self.offered_qos).is_some_and(|profiles| profiles.is_latched())
    }
}
