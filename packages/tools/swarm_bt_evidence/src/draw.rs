//! Random trees: every node that there is, with leaves that write entries and take their time to stop.

use std::collections::BTreeMap;

use rand::RngExt as _;
use rand::rngs::StdRng;
use serde_json::json;
use swarm_bt::{Mode, Registry};
use swarm_bt_log::Recipe;
use swarm_bt_script::{Scripts, declare};

/// A random tree with random leaf answers.
#[derive(Debug)]
pub struct Drawn {
    pub recipe: Recipe,
    pub scripts: Scripts,
}

/// Draws a main tree and the SubTrees that it may use.
pub fn draw(rng: &mut StdRng) -> anyhow::Result<Drawn> {
    let mut drawing = Drawing { rng, leaves: BTreeMap::new(), budget: 0, subtrees: 0 };
    let mut trees = String::new();
    for id in ["Part0", "Part1"] {
        drawing.budget = 12;
        trees += &tree(id, &drawing.node(2));
        drawing.subtrees += 1;
    }
    drawing.budget = 50;
    let main = tree("T", &drawing.node(0));
    let scripts = Scripts::parse(&serde_json::to_string(&drawing.leaves)?)?;
    let mode = if drawing.rng.random() { Mode::Strict } else { Mode::Compat };
    let xml = format!(r#"<root BTCPP_format="4" main_tree_to_execute="T">{main}{trees}</root>"#);
    let registry = declare(Registry::new(), &[("random.xml".to_owned(), xml.clone())], &scripts);
    Ok(Drawn { recipe: Recipe { mode, ..Recipe::new("random.xml", xml, &registry) }, scripts })
}

/// The entries that the nodes below use are there from the beginning.
fn tree(id: &str, body: &str) -> String {
    let start = r#"<Script code="n := 0; m := 0.5; list := '1;2;3'"/>"#;
    format!(r#"<BehaviorTree ID="{id}"><Sequence>{start}{body}</Sequence></BehaviorTree>"#)
}

const DECORATORS: [(&str, &str); 16] = [
    ("Inverter", ""),
    ("ForceSuccess", ""),
    ("ForceFailure", ""),
    ("KeepRunningUntilFailure", ""),
    ("Repeat", r#" num_cycles="3""#),
    ("RetryUntilSuccessful", r#" num_attempts="3""#),
    ("Timeout", r#" msec="35""#),
    ("Delay", r#" delay_msec="15""#),
    ("RunOnce", ""),
    ("Precondition", r#" if="n &lt; 5" else="RUNNING""#),
    ("LoopInt", r#" queue="1;2;3" value="{i}""#),
    ("LoopBool", r#" queue="1;0" value="{b}" if_empty="FAILURE""#),
    ("LoopDouble", r#" queue="{list}" value="{d}""#),
    ("LoopString", r#" queue="{list}" value="{w}""#),
    ("SkipUnlessUpdated", r#" entry="{n}""#),
    ("WaitValueUpdate", r#" entry="{m}""#),
];

/// Name, attributes, and how many children there are at least and at most.
const CONTROLS: [(&str, &str, usize, usize); 18] = [
    ("Sequence", "", 1, 4),
    ("Fallback", "", 1, 4),
    ("ReactiveSequence", "", 1, 4),
    ("ReactiveFallback", "", 1, 4),
    ("SequenceWithMemory", "", 1, 4),
    ("AsyncSequence", "", 1, 4),
    ("AsyncFallback", "", 1, 4),
    ("Parallel", "", 1, 4),
    ("ParallelAll", r#" max_failures="1""#, 1, 4),
    ("IfThenElse", "", 2, 3),
    ("WhileDoElse", "", 2, 3),
    ("TryCatch", "", 2, 3),
    ("TryCatch", r#" catch_on_halt="true""#, 2, 3),
    ("Switch2", CASES[0], 3, 3),
    ("Switch3", CASES[1], 4, 4),
    ("Switch4", CASES[2], 5, 5),
    ("Switch5", CASES[3], 6, 6),
    ("Switch6", CASES[4], 7, 7),
];

const CASES: [&str; 5] = [
    r#" variable="{n}" case_1="0" case_2="1""#,
    r#" variable="{n}" case_1="0" case_2="1" case_3="2""#,
    r#" variable="{n}" case_1="0" case_2="1" case_3="2" case_4="3""#,
    r#" variable="{n}" case_1="0" case_2="1" case_3="2" case_4="3" case_5="4""#,
    r#" variable="{n}" case_1="0" case_2="1" case_3="2" case_4="3" case_5="4" case_6="5""#,
];

struct Drawing<'r> {
    rng: &'r mut StdRng,
    leaves: BTreeMap<String, serde_json::Value>,
    /// Nodes until there are only leaves.
    budget: u32,
    /// How many there are to be used.
    subtrees: u32,
}

impl Drawing<'_> {
    fn node(&mut self, depth: u32) -> String {
        self.budget = self.budget.saturating_sub(1);
        let hook = self.hook();
        if depth >= 5 || self.budget == 0 || depth > 0 && self.rng.random_bool(0.25) {
            return self.leaf(hook);
        }
        if self.rng.random_bool(0.4) {
            let (name, attributes) = DECORATORS[self.rng.random_range(0..DECORATORS.len())];
            let child = self.node(depth + 1);
            return format!("<{name}{attributes}{hook}>{child}</{name}>");
        }
        let (name, attributes, least, most) = CONTROLS[self.rng.random_range(0..CONTROLS.len())];
        let count = self.rng.random_range(least..=most);
        let mut children: Vec<String> = (0..count).map(|_| self.node(depth + 1)).collect();
        if name == "ReactiveSequence" {
            // The loader refuses a second one that yields: it would halt the first.
            let asynchronous = children.iter_mut().filter(|child| child.starts_with("<AsyncSequence"));
            asynchronous.skip(1).for_each(|child| "<AlwaysSuccess/>".clone_into(child));
        }
        format!("<{name}{attributes}{hook}>{}</{name}>", children.concat())
    }

    fn hook(&mut self) -> &'static str {
        match self.rng.random_range(0..12) {
            0 => r#" _skipIf="n == 2""#,
            1 => r#" _onHalted="n += 1""#,
            2 => r#" _onSuccess="m = m + 0.25""#,
            3 => r#" _while="n &lt; 50""#,
            _ => "",
        }
    }

    fn leaf(&mut self, hook: &str) -> String {
        match self.rng.random_range(0..16) {
            0 => format!(r#"<Script code="n += 1"{hook}/>"#),
            1 => format!(r#"<Sleep msec="{}"{hook}/>"#, self.rng.random_range(0..60)),
            2 => format!(r#"<ScriptCondition code="n &lt; 9 || m &gt; 2"{hook}/>"#),
            3 => format!(r#"<WasEntryUpdated entry="{{n}}"{hook}/>"#),
            4 => format!(r#"<SetBlackboard value="{{n}}" output_key="copy"{hook}/>"#),
            5 => format!(r#"<UnsetBlackboard key="copy"{hook}/>"#),
            6 => ["<AlwaysSuccess/>", "<AlwaysFailure/>"][self.rng.random_range(0..2)].to_owned(),
            7 | 8 if self.subtrees > 0 => {
                let number = self.rng.random_range(0..self.subtrees);
                let ports = [r#" _autoremap="true""#, r#" n="{n}""#, ""][self.rng.random_range(0..3)];
                format!(r#"<SubTree ID="Part{number}"{ports}{hook}/>"#)
            }
            _ => self.registered(hook),
        }
    }

    /// A leaf with answers of its own.
    fn registered(&mut self, hook: &str) -> String {
        let name = format!("A{}", self.leaves.len());
        let rng = &mut *self.rng;
        let letters = ["R", "S", "F", "R", "S", "K"];
        let answers: String = (0..rng.random_range(1..6)).map(|_| letters[rng.random_range(0..6)]).collect();
        let values: Vec<f64> = (0..3).map(|_| rng.random_range(-9.0..9.0)).collect();
        let script = json!({
            "answers": answers,
            "outputs": {"pose": [values, null], "hits": [1, 2, null]},
            "stops_after": rng.random_range(0..3),
        });
        self.leaves.insert(name.clone(), script);
        format!(r#"<{name} pose="{{pose}}" hits="{{h{}}}"{hook}/>"#, self.rng.random_range(0..3))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use rand::SeedableRng as _;

    use super::*;

    #[test]
    fn every_node_that_there_is_is_drawn() {
        let mut drawn = BTreeSet::new();
        for seed in 0..300 {
            let Drawn { recipe, .. } = draw(&mut StdRng::seed_from_u64(seed)).unwrap();
            recipe.load().unwrap_or_else(|errors| panic!("seed {seed}: {errors}"));
            let elements = recipe.documents[0].1.split('<').skip(1);
            drawn.extend(elements.filter_map(|tag| Some(tag.split([' ', '>', '/']).next()?.to_owned())));
        }
        let never: Vec<&str> = swarm_bt::builtins().filter(|id| !drawn.contains(*id)).collect();
        assert_eq!(never, Vec::<&str>::new());
        assert!(drawn.contains("A0"), "and leaves with answers of their own");
    }
}
