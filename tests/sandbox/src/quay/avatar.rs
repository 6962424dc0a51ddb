//! The colored square beside every name (`avatars/avatars.py`).

use serde_json::{Value, json};

use super::random;

/// `AVATAR_COLORS` of Quay's `config.py`.
const COLORS: [&str; 32] = [
    "#969696", "#aec7e8", "#ff7f0e", "#ffbb78", "#2ca02c", "#98df8a", "#d62728", "#ff9896",
    "#9467bd", "#c5b0d5", "#8c564b", "#c49c94", "#e377c2", "#f7b6d2", "#7f7f7f", "#c7c7c7",
    "#bcbd22", "#1f77b4", "#17becf", "#9edae5", "#393b79", "#5254a3", "#6b6ecf", "#9c9ede",
    "#9ecae1", "#31a354", "#b5cf6b", "#a1d99b", "#8c6d31", "#ad494a", "#e7ba52", "#a55194",
];

/// The avatar of `name`; `seed` (an e-mail address, or the name) decides hash and color.
pub(crate) fn avatar(name: &str, seed: &str, kind: &str) -> Value {
    let hash = random::sha256(seed.trim().to_lowercase().as_bytes());
    // Two hexadecimal digits, as many as it takes to count the colors.
    let color = usize::from_str_radix(&hash[..2], 16).unwrap_or_default() % COLORS.len();
    json!({"name": name, "hash": hash, "color": COLORS[color], "kind": kind})
}
