//! Reads the committed test vectors: `tests/vectors/*.json`, each a list of objects with text and number fields.
//! They pin formats that other people's programs and disks hold: a change here breaks those.

use serde_json::Value;

pub struct Vectors;

impl Vectors {
    pub fn read(json: &str) -> Vec<Vector> {
        let vectors: Vec<Value> = serde_json::from_str(json).unwrap();
        assert!(!vectors.is_empty());
        vectors.into_iter().map(Vector).collect()
    }
}

pub struct Vector(Value);

impl Vector {
    pub fn text(&self, field: &str) -> String {
        self.0[field].as_str().unwrap_or_else(|| panic!("no text {field} in {}", self.0)).to_owned()
    }

    pub fn number(&self, field: &str) -> u64 {
        self.0[field].as_u64().unwrap_or_else(|| panic!("no number {field} in {}", self.0))
    }

    /// A field of hexadecimal digits, of exactly `N` bytes.
    pub fn bytes<const N: usize>(&self, field: &str) -> [u8; N] {
        unhex(&self.text(field)).try_into().unwrap_or_else(|_| panic!("{field} has not {N} bytes"))
    }

    pub fn expect(&self, field: &str, made: &str) {
        assert_eq!(made, self.text(field), "{field} of {}", self.0);
    }
}

pub fn hex(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(bytes)
}

pub fn unhex(text: &str) -> Vec<u8> {
    data_encoding::HEXLOWER.decode(text.as_bytes()).unwrap()
}
