//! Memberships of an account.

use std::collections::BTreeSet;

use bridgehead_sdk::{Account, AccountRecord, Error, Memberships, ResourceKind};
use serde_json::Value;

use super::inputs::Inputs;
use super::run::Purpose;
use crate::fault::{Doing, noun, subject};
use crate::plan::{Parameter, Type};
use crate::pool::Lease;
use crate::target::Database;

impl Database {
    /// Adds requested memberships that do not exist, and removes existing ones that are not requested, for each type
    /// that is named.
    pub(super) async fn change_memberships(
        &self,
        lease: &mut Lease,
        inputs: &mut Inputs,
        label: &str,
        wanted: &Memberships,
        found: Option<&AccountRecord>,
    ) -> Result<(), Error> {
        for (slug, references) in &wanted.0 {
            let slug = slug.as_str();
            let one = self.type_of(slug, label)?;
            let wanted: BTreeSet<&str> = references.iter().map(|one| one.id.as_str()).collect();
            let now: BTreeSet<&str> = found.map(|found| held(found, one)).into_iter().flatten().collect();
            for (references, adds) in [(&now - &wanted, false), (&wanted - &now, true)] {
                for reference in references {
                    self.change_membership(lease, inputs, label, (one, reference, adds)).await?;
                }
            }
        }
        Ok(())
    }

    /// Checks that the account has the requested memberships afterwards: a statement that changed nothing is not a success.
    pub(super) fn check_memberships(
        &self,
        label: &str,
        wanted: &Memberships,
        found: &AccountRecord,
    ) -> Result<(), Error> {
        for (slug, references) in &wanted.0 {
            let one = self.type_of(slug.as_str(), label)?;
            let wanted: BTreeSet<&str> = references.iter().map(|one| one.id.as_str()).collect();
            let now: BTreeSet<&str> = held(found, one).collect();
            let differing = wanted.symmetric_difference(&now).next();
            if let Some(reference) = differing {
                let doing = joining(one, label, reference);
                let why = "its statements succeeded, but the account does not have the requested members; nothing \
                     was changed";
                return Err(Error::internal(self.verdicts.message(doing, why))
                    .with_subject(subject(one.resource_type.kind)));
            }
        }
        Ok(())
    }

    fn type_of(&self, slug: &str, label: &str) -> Result<&Type, Error> {
        let one = self.plan.types.iter().find(|one| one.resource_type.slug.as_str() == slug);
        one.ok_or_else(|| {
            let doing = Doing::Joining { account: label, kind: ResourceKind::Group, slug, reference: "" };
            let why = "the configuration does not contain this resource type";
            Error::group_not_found(self.verdicts.message(doing, why))
        })
    }

    async fn change_membership(
        &self,
        lease: &mut Lease,
        inputs: &mut Inputs,
        label: &str,
        (one, reference, adds): (&Type, &str, bool),
    ) -> Result<(), Error> {
        let kind = one.resource_type.kind;
        let doing = joining(one, label, reference);
        let steps = if adds { &one.add } else { &one.remove };
        if steps.is_empty() {
            let why = "the configuration has no statements for it (add and remove)";
            return Err(Error::internal(self.verdicts.message(doing, why)).with_subject(subject(kind)));
        }
        if adds && !self.is_there(lease, one, reference, doing).await? {
            let why =
                format!("{} {reference} of the type {} does not exist", noun(kind), one.resource_type.slug);
            return Err(
                Error::group_not_found(self.verdicts.message(doing, &why)).with_subject(subject(kind))
            );
        }
        let purpose = Purpose { doing, reference: Some(reference) };
        let rows = self.run_steps(lease, steps, inputs, purpose, &[]).await?;
        if rows.iter().sum::<u64>() == 0 && !adds {
            return self.check_removal(lease, inputs, label, (one, reference)).await;
        }
        Ok(())
    }

    /// A removal that changed no row: another client may have been faster, and the account no longer has it. Otherwise
    /// the statement compares in a different way from the one that reads the members, and access would remain.
    async fn check_removal(
        &self,
        lease: &mut Lease,
        inputs: &Inputs,
        label: &str,
        (one, reference): (&Type, &str),
    ) -> Result<(), Error> {
        let Some(id) = &inputs.id else { return Ok(()) };
        let found = self.find(lease, &Account::by_id(id.as_str())).await?;
        if found.is_some_and(|found| held(&found, one).any(|held| held == reference)) {
            let why = "the statement of remove changed no row, but the account still has it; nothing was \
                       changed. Make its comparison match members (the same column, the same collation)";
            let doing = joining(one, label, reference);
            return Err(Error::internal(self.verdicts.message(doing, why))
                .with_subject(subject(one.resource_type.kind)));
        }
        Ok(())
    }

    async fn is_there(
        &self,
        lease: &mut Lease,
        one: &Type,
        reference: &str,
        doing: Doing<'_>,
    ) -> Result<bool, Error> {
        // An invalid identifier certainly does not exist.
        if crate::value::Bound::new(one.id_type.into(), &Value::from(reference)).is_err() {
            return Ok(false);
        }
        let Some(find) = &one.find else { return Ok(true) };
        let values = self.values(find, |parameter| match parameter {
            Parameter::Ref => Value::from(reference),
            _ => Value::Null,
        });
        let Ok(values) = values else { return Ok(false) };
        match lease.run(find, values).await {
            Ok(answer) => Ok(!answer.rows.is_empty()),
            Err(crate::fault::Fault::Nul) => Ok(false),
            Err(fault) => Err(self.verdicts.of(&fault, doing)),
        }
    }
}

fn joining<'a>(one: &'a Type, account: &'a str, reference: &'a str) -> Doing<'a> {
    let resource_type = &one.resource_type;
    Doing::Joining { account, kind: resource_type.kind, slug: resource_type.slug.as_str(), reference }
}

/// The references of a type that an account has.
fn held<'a>(found: &'a AccountRecord, one: &Type) -> impl Iterator<Item = &'a str> + use<'a> {
    let all = match one.resource_type.kind {
        ResourceKind::License => &found.assignments,
        ResourceKind::Group | ResourceKind::Account => &found.memberships,
    };
    all.of(one.resource_type.slug.as_str()).iter().map(|one| one.id.as_str())
}
