use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::form::{self, forms};
use crate::name::{LabelKey, LabelValue, ProcessName};
use crate::noun::{AppId, Formation, LabelConstraint, LabelTest, Placement, Scale};
use crate::value::Resources;

forms! {
    mirror Formation => FormationForm,
    mirror Scale => ScaleForm,
    mirror Placement => PlacementForm,
    convert LabelConstraint => LabelConstraintForm,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Formation")]
struct FormationForm {
    app: AppId,
    #[serde(with = "form", default, skip_serializing_if = "BTreeMap::is_empty")]
    processes: BTreeMap<ProcessName, Scale>,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Scale")]
struct ScaleForm {
    count: u32,
    resources: Resources,
    #[serde(with = "form", default, skip_serializing_if = "Placement::is_any")]
    placement: Placement,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Placement")]
struct PlacementForm {
    #[serde(with = "form", default, skip_serializing_if = "Vec::is_empty")]
    constraints: Vec<LabelConstraint>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    spread: Option<LabelKey>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    most_per_node: Option<u32>,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum LabelConstraintForm {
    Is { label: LabelKey, value: LabelValue },
    IsNot { label: LabelKey, value: LabelValue },
    In { label: LabelKey, values: Vec<LabelValue> },
}

impl From<&LabelConstraint> for LabelConstraintForm {
    fn from(LabelConstraint { label, test }: &LabelConstraint) -> Self {
        let label = label.clone();
        match test {
            LabelTest::Is(value) => Self::Is { label, value: value.clone() },
            LabelTest::IsNot(value) => Self::IsNot { label, value: value.clone() },
            LabelTest::In(values) => Self::In { label, values: values.clone() },
        }
    }
}

impl From<LabelConstraintForm> for LabelConstraint {
    fn from(form: LabelConstraintForm) -> Self {
        match form {
            LabelConstraintForm::Is { label, value } => Self { label, test: LabelTest::Is(value) },
            LabelConstraintForm::IsNot { label, value } => Self { label, test: LabelTest::IsNot(value) },
            LabelConstraintForm::In { label, values } => Self { label, test: LabelTest::In(values) },
        }
    }
}
