//! Decides whether a listing is complete, from the connector's evidence on the last page and from counts. Pure.
//!
//! A total can prove that records are missing. It never proves that all were read: only the target's statement at the end of a listing
//! does.

use bridgehead_sdk::{Evidence, Page};

/// What the pages of one listing reported about its size and its end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Testimony {
    /// The smallest and the largest total reported by any page.
    totals: Option<(u64, u64)>,
    evidence: Option<Evidence>,
}

/// The verdict on a finished listing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Proof {
    /// The listing is complete.
    Whole(Evidence),
    /// Records are missing.
    Short {
        /// How many distinct records were read.
        read: u64,
        /// The minimum number that exist.
        total: u64,
    },
    /// There is no evidence that the listing is complete.
    None,
}

impl Testimony {
    /// Adds what the next page reports.
    pub(super) fn hear(&mut self, page: &Page) {
        if let Some(total) = page.total {
            let (least, most) = self.totals.unwrap_or((total, total));
            self.totals = Some((least.min(total), most.max(total)));
        }
        if page.next.is_none() {
            self.evidence = page.evidence;
        }
    }

    /// Evaluates the listing; `read` is the number of distinct records read, including invalid ones.
    pub(super) fn judge(&self, read: u64) -> Proof {
        let (least, most) = self.totals.unwrap_or((0, 0));
        if read < least {
            return Proof::Short { read, total: least };
        }
        match self.evidence {
            None => Proof::None,
            // If the total is the only evidence, it must be present, and the largest reported total must be reached.
            Some(Evidence::TotalMet) if self.totals.is_none() => Proof::None,
            Some(Evidence::TotalMet) if read < most => Proof::Short { read, total: most },
            Some(evidence) => Proof::Whole(evidence),
        }
    }
}

#[cfg(test)]
mod tests {
    use bridgehead_sdk::Cursor;

    use super::*;

    /// Evaluates pages with these totals, the last of which has this evidence.
    fn judged(totals: &[Option<u64>], evidence: Option<Evidence>, read: u64) -> Proof {
        let mut testimony = Testimony::default();
        for (number, total) in totals.iter().enumerate() {
            let is_last = number + 1 == totals.len();
            let mut page = Page::default();
            page.next = (!is_last).then(|| Cursor::new("next"));
            // Evidence on an earlier page is ignored.
            page.evidence = if is_last { evidence } else { Some(Evidence::Atomic) };
            testimony.hear(&page.with_total(*total));
        }
        testimony.judge(read)
    }

    #[test]
    fn fewer_records_than_the_smallest_total_are_too_few() {
        for evidence in [
            None,
            Some(Evidence::EndOfCursor),
            Some(Evidence::TotalMet),
            Some(Evidence::Atomic),
            Some(Evidence::TwoReadings),
        ] {
            let short = judged(&[Some(100), None, Some(99)], evidence, 98);
            assert_eq!(short, Proof::Short { read: 98, total: 99 });
        }
    }

    #[test]
    fn total_alone_never_proves_a_listing() {
        assert_eq!(judged(&[Some(10)], None, 10), Proof::None);
        assert_eq!(judged(&[None], None, 10), Proof::None);
        assert_eq!(judged(&[None, None], Some(Evidence::TotalMet), 10), Proof::None, "there is no total");
    }

    #[test]
    fn end_evidence_proves_a_listing_that_meets_its_total() {
        for evidence in [Evidence::EndOfCursor, Evidence::Atomic, Evidence::TwoReadings] {
            assert_eq!(judged(&[None], Some(evidence), 3), Proof::Whole(evidence));
            assert_eq!(judged(&[Some(3)], Some(evidence), 5), Proof::Whole(evidence));
        }
        assert_eq!(judged(&[Some(9), Some(8)], Some(Evidence::Atomic), 8), Proof::Whole(Evidence::Atomic));
    }

    #[test]
    fn every_total_must_be_met_if_totals_are_the_evidence() {
        let met = Some(Evidence::TotalMet);
        assert_eq!(judged(&[Some(9), Some(9)], met, 9), Proof::Whole(Evidence::TotalMet));
        assert_eq!(judged(&[Some(9), Some(8)], met, 8), Proof::Short { read: 8, total: 9 });
    }
}
