//! Whether a pool of connections lets another one connect.

/// What a pool says to one that wants to connect.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Admission {
    /// It may.
    Seat,
    /// It has to wait, and counts meanwhile.
    Queue,
    /// Too many wait.
    Full,
}

/// Asks a pool of `size` connections, of which `seats` are in use, idle, or wait in its queue.
/// Without a `backlog`, the number that may wait, any number may connect.
pub fn admit(seats: usize, size: usize, backlog: Option<usize>) -> Admission {
    let Some(backlog) = backlog else { return Admission::Seat };
    if seats >= size.saturating_add(backlog) {
        Admission::Full
    } else if seats >= size {
        Admission::Queue
    } else {
        Admission::Seat
    }
}

/// Whether it is the turn of the one that has waited longest: of `seats`, `waiting` are in the
/// queue and `resting` are idle connections.
pub fn has_place(seats: usize, waiting: usize, resting: usize, size: usize) -> bool {
    seats.saturating_sub(waiting.saturating_add(resting)) < size
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_backlog_all_may_connect() {
        assert_eq!(admit(0, 1, None), Admission::Seat);
        assert_eq!(admit(1000, 1, None), Admission::Seat);
    }

    #[test]
    fn beyond_the_size_they_wait_and_beyond_the_backlog_they_fail() {
        let answers: Vec<_> = (0..6).map(|seats| admit(seats, 2, Some(3))).collect();
        use Admission::{Full, Queue, Seat};
        assert_eq!(answers, [Seat, Seat, Queue, Queue, Queue, Full]);
        assert_eq!(admit(2, 2, Some(0)), Full);
        assert_eq!(admit(usize::MAX - 1, usize::MAX, Some(usize::MAX)), Seat);
    }

    #[test]
    fn the_next_has_a_place_once_one_in_use_is_gone() {
        assert!(!has_place(3, 1, 0, 2));
        assert!(has_place(2, 1, 0, 2));
        // An idle one gives way.
        assert!(has_place(3, 1, 1, 2));
        assert!(has_place(0, 5, 5, 1));
    }
}
