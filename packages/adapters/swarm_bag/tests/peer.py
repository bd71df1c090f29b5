"""The readers and the writer that swarm_bag is compared with: rosbags, mcap with mcap-ros2-support, rclpy.

    peer.py read BAG [killed]    what each reader finds in the bag: {reader: {"topics": {name: type}, "messages": [[topic, ns, digest]], ...}};
                                 of a killed writer, metadata.yaml may be one sync behind its storage file, never ahead of it
    peer.py decode BAG           every message, decoded by rclpy and by mcap-ros2-support where that can: [[topic, {field: value}]]
    peer.py hashes TYPE...       the type hashes that rosidl has computed: {type: hash}
    peer.py write BAG STORAGE    writes a bag with rosbags, of messages that rclpy encoded, and prints them as decode does
"""

import hashlib
import json
import pathlib
import sys


def digest(data):
    return int.from_bytes(hashlib.sha256(data).digest()[:8], "big")


def rosbags_read(path, killed):
    from rosbags.rosbag2 import Reader

    def check(what, said, found):
        assert said == found or (killed and said < found), f"{what}: the bag says {said} messages and holds {found}"

    with Reader(path) as bag:
        topics = {c.topic: c.msgtype for c in bag.connections}
        messages = [[c.topic, time, digest(data)] for c, time, data in bag.messages()]
        check("in all", bag.message_count, len(messages))
        for connection in bag.connections:
            check(connection.topic, connection.msgcount, sum(topic == connection.topic for topic, _, _ in messages))
        qos = {
            c.topic: [[q.reliability.name, q.durability.name, q.depth, q.deadline.sec] for q in c.ext.offered_qos_profiles]
            for c in bag.connections
        }
    return {"topics": topics, "messages": messages, "qos": qos}


def mcap_read(path):
    """The seeking reader, which uses the index where there is one, and the one that only goes forward; they must agree."""
    from mcap.reader import NonSeekingReader, make_reader

    files = [path] if path.is_file() else sorted(path.glob("*.mcap"))
    if not files or files[0].suffix != ".mcap":
        return None
    topics, messages = {}, []
    for file in files:
        found = []
        with file.open("rb") as stream:
            for schema, channel, message in make_reader(stream, validate_crcs=True).iter_messages():
                topics[channel.topic] = schema.name
                found.append([channel.topic, message.log_time, digest(message.data)])
        with file.open("rb") as stream:
            forward = [[c.topic, m.log_time, digest(m.data)] for _, c, m in NonSeekingReader(stream).iter_messages(log_time_order=False)]
        assert sorted(forward) == sorted(found), f"{file}: {len(forward)} messages going forward, {len(found)} with seeking"
        messages += found
    return {"topics": topics, "messages": messages}


def read(path, killed=""):
    readers = {"rosbags": rosbags_read(path, killed == "killed"), "mcap": mcap_read(path)}
    return {name: found for name, found in readers.items() if found is not None}


def as_fields(message):
    """rclpy's messages name their fields; those of mcap-ros2-support have them in __slots__."""
    names = [slot.lstrip("_") for slot in type(message).__slots__ if slot != "_check_fields"]
    return {name: as_value(getattr(message, name)) for name in names}


def as_value(value):
    if isinstance(value, (bool, int, float, str)):
        return value
    if hasattr(type(value), "__slots__") and not hasattr(value, "tolist"):
        return as_fields(value)
    return [as_value(each) for each in (value.tolist() if hasattr(value, "tolist") else value)]


def message_class(type_name):
    import importlib

    package, _, name = type_name.split("/")
    return getattr(importlib.import_module(f"{package}.msg"), name)


def decode(path):
    from rclpy.serialization import deserialize_message
    from rosbags.rosbag2 import Reader

    with Reader(path) as bag:
        decoded = [[c.topic, as_fields(deserialize_message(data, message_class(c.msgtype)))] for c, _, data in bag.messages()]
    if path.suffix == ".mcap":
        from mcap.reader import make_reader
        from mcap_ros2.decoder import DecoderFactory

        with path.open("rb") as stream:
            reader = make_reader(stream, decoder_factories=[DecoderFactory()])
            dynamic = [[c.topic, as_fields(m)] for _, c, _, m in reader.iter_decoded_messages()]
        assert dynamic == decoded, "mcap-ros2-support, which reads by the definitions in the bag, differs from rclpy"
    return decoded


def hashes(type_names):
    from ament_index_python.packages import get_package_share_directory

    found = {}
    for type_name in type_names:
        package, _, name = type_name.split("/")
        path = pathlib.Path(get_package_share_directory(package), "msg", f"{name}.json")
        known = json.loads(path.read_text())["type_hashes"]
        found[type_name] = next(each["hash_string"] for each in known if each["type_name"] == type_name)
    return found


def write(path, storage):
    from geometry_msgs.msg import WrenchStamped
    from rclpy.serialization import serialize_message
    from rosbags.rosbag2 import StoragePlugin, Writer
    from rosbags.typesys import Stores, get_typestore
    from sensor_msgs.msg import JointState

    typestore = get_typestore(Stores.ROS2_JAZZY)
    joints = JointState(name=["a", "bc", ""], position=[1.5, -2.0, 1e300], effort=[0.0])
    joints.header.stamp.sec, joints.header.stamp.nanosec, joints.header.frame_id = 7, 8, "wörld"
    wrench = WrenchStamped()
    wrench.wrench.torque.z = -0.25
    written = [["/joint_states", joints], ["/ur/wrench", wrench], ["/joint_states", JointState()]]
    with Writer(path, version=9, storage_plugin=StoragePlugin[storage]) as bag:
        connections = {
            "/joint_states": bag.add_connection("/joint_states", "sensor_msgs/msg/JointState", typestore=typestore),
            "/ur/wrench": bag.add_connection("/ur/wrench", "geometry_msgs/msg/WrenchStamped", typestore=typestore),
        }
        for index, (topic, message) in enumerate(written):
            bag.write(connections[topic], 1000 + index, serialize_message(message))
    return [[topic, as_fields(message)] for topic, message in written]


command, *arguments = sys.argv[1:]
if command == "hashes":
    result = hashes(arguments)
else:
    result = {"read": read, "decode": decode, "write": write}[command](pathlib.Path(arguments[0]), *arguments[1:])
print(json.dumps(result))
