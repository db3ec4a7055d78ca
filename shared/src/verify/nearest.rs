//! Finds the word that somebody may have meant.

/// `; did you mean `body`?` when one of the words is alike, else nothing.
pub(super) fn did_you_mean<'w>(typed: &str, words: impl IntoIterator<Item = &'w str>) -> String {
    // What is typed comes from a file of unknown origin: long texts are no typing errors.
    const LONGEST: usize = 40;
    if typed.len() > LONGEST {
        return String::new();
    }
    let alike = words
        .into_iter()
        .map(|word| (differences(typed, word), word))
        .filter(|(differences, word)| *differences <= 2 && *differences < word.len())
        .min();
    alike.map_or_else(String::new, |(_, word)| format!("; did you mean `{word}`?"))
}

/// How many letters must be changed, added or left out to make one text of the other.
fn differences(one: &str, other: &str) -> usize {
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (index, letter) in one.bytes().enumerate() {
        let mut before = row[0];
        row[0] = index + 1;
        for (place, other_letter) in other.bytes().enumerate() {
            let changed = before + usize::from(letter != other_letter);
            before = row[place + 1];
            row[place + 1] = changed.min(row[place] + 1).min(before + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_meant_and_none_when_all_are_far() {
        let words = ["message", "method", "body"];

        assert_eq!(did_you_mean("mesage", words), "; did you mean `message`?");
        assert_eq!(did_you_mean("bodi", words), "; did you mean `body`?");
        assert_eq!(did_you_mean("signature", words), "");
        assert_eq!(did_you_mean(&"b".repeat(41), words), "");
    }
}
