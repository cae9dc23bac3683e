//! A request from outside the cluster, and what came.

use std::time::Duration;

use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Empty};
use serde_json::Value;

use super::trust::{Caller, Trust};

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(10);

pub struct Answer {
    pub status: StatusCode,
    /// A text where it is no JSON.
    pub body: Value,
}

impl Answer {
    /// Status, and the reason of a refusal.
    pub fn verdict(&self) -> String {
        match self.body["reason"].as_str() {
            Some(reason) => format!("{} {reason}", self.status.as_u16()),
            None => self.status.as_u16().to_string(),
        }
    }

    /// What the service was sent in this field.
    pub fn saw(&self, field: &str) -> Option<&str> {
        self.body["headers"][field][0].as_str()
    }
}

/// One over plain text.
pub fn caller() -> Caller {
    Trust::nobody().caller()
}

/// Asks once; an error is what nobody should have met.
pub async fn ask(caller: &Caller, url: &str, headers: &[(&str, &str)]) -> Result<Answer, String> {
    let mut request = Request::get(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Empty::new()).unwrap();
    let answer = async {
        let response = caller.request(request).await.map_err(|error| format!("{error:?}"))?;
        let status = response.status();
        let body = response.into_body().collect().await.map_err(|error| format!("{error:?}"))?.to_bytes();
        let text = || Value::from(String::from_utf8_lossy(&body).into_owned());
        Ok(Answer { status, body: serde_json::from_slice(&body).unwrap_or_else(|_| text()) })
    };
    tokio::time::timeout(PATIENCE, answer).await.map_err(|_| format!("{url} does not answer"))?
}
