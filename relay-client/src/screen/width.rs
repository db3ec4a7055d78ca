//! How many columns text takes on a terminal, and fitting it into a number of columns.

/// The columns of a text that has been escaped: wide scripts and emoji take two, combining marks none.
pub fn columns(text: &str) -> usize {
    text.chars().map(character_columns).sum()
}

/// The text followed by spaces up to `width` columns; a longer one is left as it is.
pub fn pad(text: &str, width: usize) -> String {
    let mut padded = text.to_owned();
    padded.extend(std::iter::repeat_n(
        ' ',
        width.saturating_sub(columns(text)),
    ));
    padded
}

/// The text in at most `width` columns; what does not fit gives way to `…` at the end.
pub fn cut(text: &str, width: usize) -> String {
    if columns(text) <= width {
        return text.to_owned();
    }
    let mut shown = String::new();
    let mut used = 0;
    for character in text.chars() {
        let next = used + character_columns(character);
        if next + 1 > width {
            break;
        }
        shown.push(character);
        used = next;
    }
    if width > 0 {
        shown.push('…');
    }
    shown
}

/// The text in lines of at most `width` columns, broken at spaces; a longer word stands alone and is not broken.
pub fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if columns(line) + 1 + columns(word) <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// After UAX #11 (East Asian Width) and the ranges in which terminals agree; the rest takes one column.
const fn character_columns(character: char) -> usize {
    match character {
        '\u{300}'..='\u{36f}' | '\u{20d0}'..='\u{20ff}' | '\u{fe00}'..='\u{fe0f}' => 0,
        '\u{1100}'..='\u{115f}'
        | '\u{2e80}'..='\u{303e}'
        | '\u{3041}'..='\u{a4cf}'
        | '\u{a960}'..='\u{a97c}'
        | '\u{ac00}'..='\u{d7a3}'
        | '\u{f900}'..='\u{faff}'
        | '\u{fe30}'..='\u{fe6f}'
        | '\u{ff01}'..='\u{ff60}'
        | '\u{ffe0}'..='\u{ffe6}'
        | '\u{1f300}'..='\u{1f64f}'
        | '\u{1f680}'..='\u{1f6ff}'
        | '\u{1f900}'..='\u{1f9ff}'
        | '\u{20000}'..='\u{3fffd}' => 2,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wide_characters_take_two_columns_and_combining_marks_none() {
        assert_eq!(columns("abc"), 3);
        assert_eq!(columns("世界😀"), 6);
        assert_eq!(columns("e\u{301}"), 1);
    }

    #[test]
    fn cutting_never_takes_more_columns_than_asked_for() {
        assert_eq!(cut("abcdef", 6), "abcdef");
        assert_eq!(cut("abcdef", 5), "abcd…");
        assert_eq!(cut("世界世界", 6), "世界…");
        assert_eq!(cut("abc", 1), "…");
        assert_eq!(cut("abc", 0), "");
    }

    #[test]
    fn wrapping_breaks_at_spaces_only() {
        assert_eq!(wrap("a bc def", 4), ["a bc", "def"]);
        assert_eq!(wrap("abcdefgh i", 4), ["abcdefgh", "i"]);
    }

    #[test]
    fn padding_counts_columns_not_characters() {
        assert_eq!(pad("世", 4), "世  ");
        assert_eq!(pad("abcde", 4), "abcde");
    }
}
