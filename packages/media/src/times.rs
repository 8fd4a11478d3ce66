//! The times of a joined video: the k-th presented frame gets the source's k-th time.
//!
//! A map may change a part's clock, but its frames have an order, and the source has
//! a time for each. Decode times follow from the presentation times: the same times in order,
//! earlier by the minimum that lets every frame be decoded before it is presented.

use crate::mp4::Sample;

/// Presentation order of the samples: `ranks(..)[i]` is the rank of sample `i`.
pub fn ranks(samples: &[Sample]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..samples.len()).collect();
    order.sort_by_key(|i| samples[*i].pts());
    let mut ranks = vec![0; samples.len()];
    for (rank, i) in order.into_iter().enumerate() {
        ranks[i] = rank;
    }
    ranks
}

/// Decode times for samples with these presentation times, in decode order.
///
/// They never decrease and are never later than the presentation time.
pub fn decode_times(pts: &[i64]) -> Vec<i64> {
    let mut sorted = pts.to_vec();
    sorted.sort_unstable();
    let delay = sorted.iter().zip(pts).map(|(s, p)| s - p).max().unwrap_or(0).max(0);
    sorted.iter().map(|s| s - delay).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn one_reordered_frame_costs_one_frame_of_delay() {
        // I0 P3 B1 B2 P6 B4 B5
        assert_eq!(decode_times(&[0, 3, 1, 2, 6, 4, 5]), [-1, 0, 1, 2, 3, 4, 5]);
        assert_eq!(decode_times(&[0, 1, 2]), [0, 1, 2]);
        assert_eq!(decode_times(&[]), [0i64; 0]);
    }

    proptest! {
        #[test]
        fn decoded_in_order_and_before_shown(pts in proptest::collection::vec(-1000i64..1000, 0..50)) {
            let dts = decode_times(&pts);
            prop_assert!(dts.windows(2).all(|w| w[0] <= w[1]));
            prop_assert!(dts.iter().zip(&pts).all(|(d, p)| d <= p));
        }
    }
}
