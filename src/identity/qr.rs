//! A link as a QR code (ISO/IEC 18004) on a terminal.

use qrcode::{Color, EcLevel, QrCode};

use super::Link;

/// White margin around the symbol that readers need, modules.
const QUIET_ZONE: usize = 4;
/// A larger link would not fit on a terminal of 80 columns; its hints are left out.
const MAX_MODULES: usize = 80 - 2 * QUIET_ZONE;

/// The link as a QR code in half blocks, two modules per character, ending in a line feed. Bright modules are drawn in
/// the foreground colour: right on a dark terminal, and read as an inverted code (which scanners accept) on a bright
/// one. Hints that do not fit are left out, then the name.
pub fn qr_terminal(link: &Link) -> String {
    let without_hints = Link { hints: Vec::new(), ..link.clone() };
    let bare = Link { name: None, ..without_hints.clone() };
    [link, &without_hints, &bare].into_iter().find_map(symbol).map(|code| half_blocks(&code)).unwrap_or_default()
}

/// A bare link is all letters and digits, so in upper case it fits the compact alphanumeric mode, and links are read
/// without regard to case.
fn symbol(link: &Link) -> Option<QrCode> {
    let bare = link.name.is_none() && link.hints.is_empty();
    let text = if bare { link.to_string().to_uppercase() } else { link.to_string() };
    let code = QrCode::with_error_correction_level(text, EcLevel::M).ok()?;
    (code.width() <= MAX_MODULES).then_some(code)
}

fn half_blocks(code: &QrCode) -> String {
    let width = code.width();
    let modules = code.to_colors();
    let is_bright = |x: usize, y: usize| {
        let inside = (QUIET_ZONE..QUIET_ZONE + width).contains(&x) && (QUIET_ZONE..QUIET_ZONE + width).contains(&y);
        !inside || modules[(y - QUIET_ZONE) * width + (x - QUIET_ZONE)] == Color::Light
    };
    let side = width + 2 * QUIET_ZONE;
    let mut picture = String::new();
    for y in (0..side).step_by(2) {
        for x in 0..side {
            picture.push(match (is_bright(x, y), is_bright(x, y + 1)) {
                (true, true) => '█',
                (true, false) => '▀',
                (false, true) => '▄',
                (false, false) => ' ',
            });
        }
        picture.push('\n');
    }
    picture
}

#[cfg(test)]
mod tests {
    use super::super::PersonKey;
    use super::*;

    fn link() -> Link {
        Link { person: PersonKey::from_seed(&[1; 32]).person(), name: None, hints: Vec::new() }
    }

    /// Reads the picture back into modules and compares it with the symbol.
    #[test]
    fn the_picture_shows_the_symbol() {
        let code = symbol(&link()).unwrap();
        assert_eq!(code.width(), 29, "a bare link fits version 3");
        let picture = qr_terminal(&link());
        let mut rows = Vec::new();
        for line in picture.lines() {
            rows.push(line.chars().map(|c| "█▀".contains(c)).collect::<Vec<bool>>());
            rows.push(line.chars().map(|c| "█▄".contains(c)).collect::<Vec<bool>>());
        }
        for (at, color) in code.to_colors().into_iter().enumerate() {
            let (x, y) = (at % 29 + QUIET_ZONE, at / 29 + QUIET_ZONE);
            assert_eq!(rows[y][x], color == Color::Light);
        }
        assert!(rows[..QUIET_ZONE].iter().flatten().all(|bright| *bright));
    }

    #[test]
    fn the_upper_case_text_is_the_same_link() {
        assert_eq!(link().to_string().to_uppercase().parse(), Ok(link()));
    }

    #[test]
    fn a_link_of_any_length_gives_a_code_that_fits() {
        let hint = format!("/dns4/{}.example/udp/443/quic-v1", "a".repeat(200));
        for hints in [vec![hint.clone()], vec![hint.clone(); 8], vec![hint; 500]] {
            let picture = qr_terminal(&Link { name: Some("Ada".into()), hints, ..link() });
            let columns = picture.lines().map(|line| line.chars().count()).max();
            assert!((37..=80).contains(&columns.unwrap()), "{columns:?}");
        }
    }
}
