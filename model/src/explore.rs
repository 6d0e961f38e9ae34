//! Exploring a model: invariants with stateright, and recovery by a walk back from what is settled.

use std::collections::HashMap;
use std::fmt::Debug;
use std::hash::{DefaultHasher, Hash, Hasher};

use stateright::{Checker, HasDiscoveries, Model};

use crate::{Kind, Recoverable};

/// What an exploration found.
#[derive(Debug)]
pub struct Report {
    /// Distinct states.
    pub states: usize,
    /// The longest of the shortest ways to a state.
    pub depth: usize,
    /// The broken promise and the shortest way to break it.
    pub broken: Option<Broken>,
}

/// A broken promise.
#[derive(Debug)]
pub struct Broken {
    /// Its name.
    pub promise: &'static str,
    /// The steps that break it.
    pub steps: Vec<String>,
}

/// Looks for a reachable state in which an invariant does not hold, and stops at the first.
pub fn invariants<M>(model: M) -> Report
where
    M: Model + Send + Sync + 'static,
    M::State: Hash + Debug + Clone + PartialEq + Send + Sync,
    M::Action: Debug + Clone + PartialEq,
{
    let checker =
        model.checker().threads(1).finish_when(HasDiscoveries::AnyFailures).spawn_bfs().join();
    let broken = checker.discoveries().into_iter().next().map(|(promise, path)| Broken {
        promise,
        steps: path.into_actions().iter().map(|action| format!("{action:?}")).collect(),
    });
    Report { states: checker.unique_state_count(), depth: checker.max_depth(), broken }
}

/// The names of all invariants that some reachable state breaks.
pub fn broken_invariants<M>(model: M) -> Vec<&'static str>
where
    M: Model + Send + Sync + 'static,
    M::State: Hash + Debug + Clone + PartialEq + Send + Sync,
    M::Action: Debug + Clone + PartialEq,
{
    model.checker().spawn_bfs().join().discoveries().into_keys().collect()
}

/// The promise that [`everything`] is about.
pub const IT_RECOVERS: &str = "from every state, without further faults, everything is settled";

/// Looks for a reachable state in which an invariant does not hold, or from which [`Kind::Progress`]
/// alone never settles everything. Unlike "some step is possible", the latter is not fooled by a
/// process that polls for ever and finds nothing.
pub fn everything<M>(model: &M) -> Report
where
    M: Recoverable,
    M::State: Hash,
    M::Action: Debug + Clone,
{
    let mut seen: HashMap<u64, usize> = HashMap::new();
    // How each state was first reached, and from where progress leads to it.
    let mut from: Vec<Option<(usize, M::Action)>> = Vec::new();
    let mut back: Vec<Vec<u32>> = Vec::new();
    let mut settled = Vec::new();
    let mut frontier = Vec::new();
    for state in model.init_states() {
        seen.insert(fingerprint(&state), from.len());
        frontier.push((from.len(), state));
        from.push(None);
        back.push(Vec::new());
    }
    let properties = model.properties();
    let mut depth = 0;
    let mut actions = Vec::new();
    while !frontier.is_empty() {
        depth += 1;
        let mut next = Vec::new();
        for (place, state) in frontier {
            if model.is_settled(&state) {
                settled.push(place);
            }
            if let Some(property) = properties.iter().find(|p| !(p.condition)(model, &state)) {
                let broken = Broken { promise: property.name, steps: way(&from, place) };
                return Report { states: from.len(), depth, broken: Some(broken) };
            }
            model.actions(&state, &mut actions);
            for action in actions.drain(..) {
                let progress = model.kind(&action) == Kind::Progress;
                let Some(successor) = model.next_state(&state, action.clone()) else { continue };
                let to = *seen.entry(fingerprint(&successor)).or_insert_with(|| {
                    next.push((from.len(), successor));
                    from.push(Some((place, action)));
                    back.push(Vec::new());
                    from.len() - 1
                });
                if progress && to != place {
                    back[to].push(u32::try_from(place).unwrap_or(u32::MAX));
                }
            }
        }
        frontier = next;
    }
    let mut recovers = vec![false; from.len()];
    while let Some(place) = settled.pop() {
        if !std::mem::replace(&mut recovers[place], true) {
            settled.extend(back[place].iter().map(|&before| before as usize));
        }
    }
    // Places are in the order of discovery, so the first is one of the nearest.
    let stuck = recovers.iter().position(|recovers| !recovers);
    let broken = stuck.map(|stuck| Broken { promise: IT_RECOVERS, steps: way(&from, stuck) });
    Report { states: from.len(), depth, broken }
}

fn way<A: Debug>(from: &[Option<(usize, A)>], mut place: usize) -> Vec<String> {
    let mut steps = Vec::new();
    while let Some((before, action)) = &from[place] {
        steps.push(format!("{action:?}"));
        place = *before;
    }
    steps.reverse();
    steps
}

fn fingerprint(state: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    state.hash(&mut hasher);
    hasher.finish()
}
