//! Numbers as devices write them.

/// The value with that many decimals. With at most 15 digits in all, every JSON reader takes it for the same number.
pub(crate) fn rounded(value: f64, decimals: i32) -> f64 {
    let scale = 10_f64.powi(decimals);
    (value * scale).round() / scale
}
