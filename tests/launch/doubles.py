"""Stand-ins for `launch` and `launch_ros`, where those are not installed.

A launch file that is executed against them does all it does for real, but for starting processes: every action is kept as
an `Action` with the arguments it was made with. They follow the rules of launch that the files rely on: an argument keeps the value it
was given and otherwise takes its default, an included file sees the arguments of who includes it, and a node's parameters are values
for which launch_ros finds a type (launch_ros/utilities/normalize_parameters.py): an empty list has none.
"""

import importlib.util
import sys
import types


# Set in every launch file after it is read: what a test makes of the computer that it thinks it is on.
GLOBALS = {}


class Action:
    """An action of a launch file, with its arguments by name."""

    def __init__(self, kind, values, named):
        self.kind = kind
        self.values = values
        self.named = named

    def __getattr__(self, name):
        try:
            return self.named[name]
        except KeyError:
            raise AttributeError(f"{self.kind} was made without {name}") from None


def _kind(name):
    return lambda *values, **named: Action(name, values, named)


def _node(kind):
    def make(*values, parameters=(), **named):
        for given in parameters:
            for name, value in given.items():
                _has_a_type(name, value)
        return Action(kind, values, {"parameters": list(parameters), **named})

    return make


def _has_a_type(name, value):
    items = value if isinstance(value, list) else [value]
    if not items:
        raise TypeError(f"parameter {name}: launch_ros finds no type for an empty list")
    for item in items:
        if not isinstance(item, bool | int | float | str):
            raise TypeError(f"parameter {name}: launch_ros does not take {item!r}")


def _module(name, **content):
    module = types.ModuleType(name)
    module.__dict__.update(content)
    return module


def _package_not_found():
    class PackageNotFoundError(KeyError):
        pass

    return PackageNotFoundError


def modules(install):
    """The modules a launch file imports, finding packages in the folder `install`."""
    not_found = _package_not_found()

    def prefix(package):
        if not (install / "share/ament_index/resource_index/packages" / package).exists():
            raise not_found(package)
        return str(install)

    def share(package):
        return prefix(package) + "/share/" + package

    actions = ["DeclareLaunchArgument", "IncludeLaunchDescription", "LogInfo", "OpaqueFunction", "SetEnvironmentVariable", "Shutdown"]
    sources = ["AnyLaunchDescriptionSource", "PythonLaunchDescriptionSource"]
    return {
        "ament_index_python": _module("ament_index_python"),
        "ament_index_python.packages": _module(
            "ament_index_python.packages",
            PackageNotFoundError=not_found,
            get_package_prefix=prefix,
            get_package_share_directory=share,
        ),
        "launch": _module("launch", LaunchDescription=lambda entities: list(entities)),
        "launch.actions": _module("launch.actions", **{name: _kind(name) for name in actions}),
        "launch.launch_description_sources": _module(
            "launch.launch_description_sources", **{name: lambda path: path for name in sources}
        ),
        "launch_ros": _module("launch_ros"),
        "launch_ros.actions": _module("launch_ros.actions", Node=_node("Node"), LifecycleNode=_node("LifecycleNode")),
    }


class Context:
    """What a launch file is told while it runs."""

    def __init__(self, arguments):
        self.launch_configurations = dict(arguments)
        self.is_shutdown = False


def execute(path, install, **arguments):
    """The actions that the launch file at `path` comes to, in order, included files among them."""
    saved = {name: sys.modules.get(name) for name in modules(install)}
    sys.modules.update(modules(install))
    try:
        return _execute(path, Context(arguments))
    finally:
        for name, module in saved.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module


def _execute(path, context):
    spec = importlib.util.spec_from_file_location("launch_file", path)
    launch_file = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(launch_file)
    for name, value in GLOBALS.items():
        if hasattr(launch_file, name):
            setattr(launch_file, name, value)
    return _carry_out(launch_file.generate_launch_description(), context)


def _carry_out(entities, context):
    done = []
    for action in entities:
        done.append(action)
        if action.kind == "DeclareLaunchArgument":
            name = action.values[0]
            if name not in context.launch_configurations:
                if "default_value" not in action.named:
                    raise RuntimeError(f"the launch argument '{name}' was not given and has no default")
                context.launch_configurations[name] = action.default_value
            value = context.launch_configurations[name]
            choices = action.named.get("choices")
            if choices is not None and value not in choices:
                raise ValueError(f"{action.values[0]}: {value!r} is none of {choices}")
        elif action.kind == "OpaqueFunction":
            done += _carry_out(action.function(context) or [], context)
        elif action.kind == "IncludeLaunchDescription":
            done += _execute(action.values[0], context)
    return done
