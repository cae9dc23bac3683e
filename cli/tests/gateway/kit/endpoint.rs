//! An endpoint that says of tokens whatever it is told to, and tells what it was asked.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::Value;
use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpListener, TcpStream};

use super::hostile::{Manner, say};

/// A question, as it was asked.
#[derive(Clone, Debug)]
pub struct Question {
    /// In small letters.
    pub head: String,
    pub form: String,
}

pub struct Endpoint {
    address: SocketAddr,
    manner: Arc<Mutex<Manner>>,
    asked: Arc<Mutex<Vec<Question>>>,
}

impl Endpoint {
    /// Says this.
    pub async fn saying(value: &Value) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let endpoint = Self { address, manner: Arc::new(Mutex::new(json(&value.to_string()))), asked: Arc::default() };
        let (manner, asked) = (Arc::clone(&endpoint.manner), Arc::clone(&endpoint.asked));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&manner), Arc::clone(&asked)));
            }
        });
        endpoint
    }

    pub fn url(&self) -> String {
        format!("http://{}/introspect", self.address)
    }

    /// Says this from now on.
    pub fn say(&self, value: &Value) {
        self.answer(json(&value.to_string()));
    }

    pub fn answer(&self, manner: Manner) {
        *self.manner.lock() = manner;
    }

    /// What it was asked so far; forgets it.
    pub fn take(&self) -> Vec<Question> {
        std::mem::take(&mut self.asked.lock())
    }

    pub fn count(&self) -> usize {
        self.asked.lock().len()
    }
}

/// Status 200 with this body, which is called JSON.
pub fn json(body: &str) -> Manner {
    let head = format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n", body.len());
    Manner::Bytes((head + body).into_bytes())
}

async fn serve(mut stream: TcpStream, manner: Arc<Mutex<Manner>>, asked: Arc<Mutex<Vec<Question>>>) {
    let mut read = Vec::new();
    let (head, length) = loop {
        let mut some = [0; 4096];
        match stream.read(&mut some).await {
            Ok(0) | Err(_) => return,
            Ok(count) => read.extend_from_slice(&some[..count]),
        }
        let text = String::from_utf8_lossy(&read).into_owned();
        if let Some((head, _)) = text.split_once("\r\n\r\n") {
            let head = head.to_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
            break (head, length.unwrap_or_default());
        }
    };
    let begin = head.len() + 4;
    while read.len() < begin + length {
        let mut some = [0; 4096];
        match stream.read(&mut some).await {
            Ok(0) | Err(_) => return,
            Ok(count) => read.extend_from_slice(&some[..count]),
        }
    }
    asked.lock().push(Question { head, form: String::from_utf8_lossy(&read[begin..]).into_owned() });
    let manner = manner.lock().clone();
    say(&mut stream, manner).await;
}
