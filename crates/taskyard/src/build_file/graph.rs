//! The order of tasks: who waits for whom, and that nobody waits for themselves.

/// A chain of tasks each of which needs the next, ending where it began: `[0, 2, 0]`.
pub(crate) type Cycle = Vec<usize>;

/// Sorts tasks so that each comes after all it needs, otherwise in their given order.
///
/// `needs[task]` lists what `task` waits for.
pub(crate) fn order(needs: &[Vec<usize>]) -> Result<Vec<usize>, Cycle> {
    let mut order = Vec::with_capacity(needs.len());
    let mut marks = vec![Mark::New; needs.len()];
    for start in 0..needs.len() {
        visit(start, needs, &mut marks, &mut order)?;
    }
    Ok(order)
}

#[derive(Clone, Copy, PartialEq)]
enum Mark {
    New,
    /// On the path that is being followed.
    Open,
    Done,
}

/// Follows what `start` needs with a stack of its own, so that a long chain cannot overflow.
fn visit(
    start: usize,
    needs: &[Vec<usize>],
    marks: &mut [Mark],
    order: &mut Vec<usize>,
) -> Result<(), Cycle> {
    if marks[start] == Mark::Done {
        return Ok(());
    }
    marks[start] = Mark::Open;
    // The path from `start`, and which need of each task on it comes next.
    let mut path = vec![(start, 0)];
    while let Some((task, next)) = path.last_mut() {
        let Some(&need) = needs[*task].get(*next) else {
            marks[*task] = Mark::Done;
            order.push(*task);
            path.pop();
            continue;
        };
        *next += 1;
        match marks[need] {
            Mark::Done => {}
            Mark::New => {
                marks[need] = Mark::Open;
                path.push((need, 0));
            }
            Mark::Open => {
                let mut cycle: Cycle = path
                    .iter()
                    .map(|(task, _)| *task)
                    .skip_while(|task| *task != need)
                    .collect();
                cycle.push(need);
                return Err(cycle);
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_task_comes_after_all_it_needs() {
        let needs = [vec![2, 1], vec![3], vec![3], vec![], vec![]];
        assert_eq!(order(&needs), Ok(vec![3, 2, 1, 0, 4]));
    }

    #[test]
    fn a_cycle_is_told_from_the_task_where_it_begins() {
        assert_eq!(order(&[vec![1], vec![2], vec![1]]), Err(vec![1, 2, 1]));
        assert_eq!(order(&[vec![0]]), Err(vec![0, 0]));
    }

    #[test]
    fn a_very_long_chain_is_followed_to_its_end() {
        let needs: Vec<Vec<usize>> = (0..100_000)
            .map(|task| {
                if task == 99_999 {
                    vec![]
                } else {
                    vec![task + 1]
                }
            })
            .collect();
        assert_eq!(order(&needs).map(|order| order[0]), Ok(99_999));
    }
}
