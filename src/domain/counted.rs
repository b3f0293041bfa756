//! Numbers of things, as people write them in a trail or a message.

/// "1 finding", "2 findings", "no findings". For nouns whose plural ends in s.
pub fn counted(count: usize, noun: &str) -> String {
    match count {
        0 => format!("no {noun}s"),
        1 => format!("1 {noun}"),
        count => format!("{count} {noun}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::counted;

    #[test]
    fn one_is_not_many() {
        assert_eq!([0, 1, 2].map(|count| counted(count, "look")), ["no looks", "1 look", "2 looks"]);
    }
}
