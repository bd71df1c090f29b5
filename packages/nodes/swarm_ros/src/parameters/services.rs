//! The parameter services of a node and its `/parameter_events`. An unknown name gets an empty answer, as from rclpy.

use r2r::rcl_interfaces::msg::{
    FloatingPointRange, IntegerRange, ListParametersResult, Parameter as ParameterMsg, ParameterDescriptor,
    ParameterEvent, SetParametersResult,
};
use r2r::rcl_interfaces::srv::{
    DescribeParameters, GetParameterTypes, GetParameters, ListParameters, SetParameters,
    SetParametersAtomically,
};

use super::store::{Change, Declaration, Range};
use super::value::{Value, from_msg, to_msg};
use super::{Parameters, value};
use crate::shell::{NodeShell, ShellError};
use crate::{qos, stamp};

/// Offers `parameters` on the graph.
pub(crate) fn serve(shell: &mut NodeShell, parameters: &Parameters) -> Result<(), ShellError> {
    let events = Events {
        publisher: shell.publisher::<ParameterEvent>("/parameter_events", qos::PARAMETER_EVENTS)?,
        node: shell.fully_qualified_name().to_owned(),
    };
    events.publish_declared(parameters);

    let store = parameters.clone();
    let told = events.clone();
    shell.serve::<SetParameters::Service>("~/set_parameters", move |request| {
        let results = request.parameters.into_iter().map(|parameter| {
            let changed = store.lock().set(&parameter.name, &from_msg(parameter.value));
            answer(changed.map(|change| vec![change]), &told)
        });
        SetParameters::Response { results: results.collect() }
    })?;
    let store = parameters.clone();
    let told = events.clone();
    shell.serve::<SetParametersAtomically::Service>("~/set_parameters_atomically", move |request| {
        let values: Vec<_> = request.parameters.into_iter().map(|p| (p.name, from_msg(p.value))).collect();
        let changed = store.lock().set_all(&values);
        SetParametersAtomically::Response { result: answer(changed, &told) }
    })?;
    let store = parameters.clone();
    shell.serve::<GetParameters::Service>("~/get_parameters", move |request| {
        let store = store.lock();
        let values = request.names.iter().map(|name| to_msg(store.get(name).unwrap_or(&Value::NotSet)));
        GetParameters::Response { values: values.collect() }
    })?;
    let store = parameters.clone();
    shell.serve::<GetParameterTypes::Service>("~/get_parameter_types", move |request| {
        let store = store.lock();
        let types = request.names.iter().map(|name| store.get(name).map_or(0, value::type_id));
        GetParameterTypes::Response { types: types.collect() }
    })?;
    let store = parameters.clone();
    shell.serve::<DescribeParameters::Service>("~/describe_parameters", move |request| {
        let store = store.lock();
        let describe = |name: String| match store.describe(&name) {
            Some(declaration) => descriptor_msg(declaration),
            None => ParameterDescriptor { name, ..ParameterDescriptor::default() },
        };
        DescribeParameters::Response { descriptors: request.names.into_iter().map(describe).collect() }
    })?;
    let store = parameters.clone();
    shell.serve::<ListParameters::Service>("~/list_parameters", move |request| {
        let listing = store.lock().list(&request.prefixes, request.depth);
        ListParameters::Response {
            result: ListParametersResult { names: listing.names, prefixes: listing.prefixes },
        }
    })
}

/// Tells the world and the listener of accepted changes and turns the outcome into an answer.
fn answer(changed: Result<Vec<Change>, String>, events: &Events) -> SetParametersResult {
    match changed {
        Ok(changes) => {
            for change in &changes {
                tracing::info!("parameter '{}' set to {}", change.name, value::display(&change.value));
                if let Some(listener) = &change.listener {
                    listener(&change.value);
                }
            }
            events.publish_changes(&changes);
            SetParametersResult { successful: true, reason: String::new() }
        }
        Err(reason) => {
            tracing::warn!("refused: {reason}");
            SetParametersResult { successful: false, reason }
        }
    }
}

fn descriptor_msg(declaration: &Declaration) -> ParameterDescriptor {
    let mut descriptor = ParameterDescriptor {
        name: declaration.name.clone(),
        type_: declaration.type_id,
        description: declaration.description.clone(),
        additional_constraints: declaration.constraints.clone(),
        read_only: declaration.read_only,
        dynamic_typing: false,
        ..ParameterDescriptor::default()
    };
    match declaration.range {
        Range::Any => {}
        Range::Integer { from, to } => {
            descriptor.integer_range = vec![IntegerRange { from_value: from, to_value: to, step: 0 }];
        }
        Range::Double { from, to } => {
            descriptor.floating_point_range =
                vec![FloatingPointRange { from_value: from, to_value: to, step: 0.0 }];
        }
    }
    descriptor
}

#[derive(Clone)]
struct Events {
    publisher: r2r::Publisher<ParameterEvent>,
    node: String,
}

impl Events {
    fn publish_declared(&self, parameters: &Parameters) {
        let store = parameters.lock();
        let new_parameters = store
            .declared()
            .map(|declaration| ParameterMsg {
                name: declaration.name.clone(),
                value: to_msg(&declaration.value),
            })
            .collect();
        self.publish(&ParameterEvent { new_parameters, ..self.event() });
    }

    fn publish_changes(&self, changes: &[Change]) {
        let changed_parameters = changes
            .iter()
            .map(|change| ParameterMsg { name: change.name.clone(), value: to_msg(&change.value) })
            .collect();
        self.publish(&ParameterEvent { changed_parameters, ..self.event() });
    }

    fn event(&self) -> ParameterEvent {
        ParameterEvent { stamp: stamp::wall_now(), node: self.node.clone(), ..ParameterEvent::default() }
    }

    fn publish(&self, event: &ParameterEvent) {
        if let Err(error) = self.publisher.publish(event) {
            tracing::warn!("cannot publish a parameter event: {error}");
        }
    }
}
