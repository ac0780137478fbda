//! LLDB as VS Code drives it: a client of the Debug Adapter Protocol.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

/// The function at which the kernel stops.
const STOP: &str = "kfiber_debugged_stop";
/// A session takes a few seconds.
const MOST: Duration = Duration::from_secs(120);

/// Attaches to the kernel behind the bridge, lets it run to its first stop, and returns what the adapter says about threads,
/// functions and variables.
pub(super) fn session(adapter: &Path, kernel: &Path, address: &str) -> Result<String> {
    let mut client = Client::start(adapter)?;
    let is_over = client.end_in_time();
    let said = talk(&mut client, kernel, address);
    drop(is_over);
    said
}

fn talk(client: &mut Client, kernel: &Path, address: &str) -> Result<String> {
    client.ask("initialize", json!({ "adapterID": "lldb" }))?;
    let attach = format!("gdb-remote {address}");
    let arguments = json!({ "program": kernel, "attachCommands": [attach], "stopOnEntry": true });
    client.send("attach", arguments)?;
    client.event("initialized")?;
    let breakpoints = json!({ "breakpoints": [{ "name": STOP }] });
    client.ask("setFunctionBreakpoints", breakpoints)?;
    client.send("configurationDone", json!({}))?;
    client.event("stopped")?;
    client.send("continue", json!({ "threadId": 1 }))?;
    while client.event("stopped")?["reason"] != "breakpoint" {}
    let mut text = "=== What LLDB says to VS Code\n".to_owned();
    let threads = client.ask("threads", json!({}))?;
    for thread in threads["threads"].as_array().context("threads")? {
        text += &format!("{}\n", thread["name"].as_str().context("a name")?);
        let stack = json!({ "threadId": thread["id"], "levels": 40 });
        let stack = client.ask("stackTrace", stack)?;
        for frame in stack["stackFrames"].as_array().context("frames")? {
            let name = frame["name"].as_str().context("a name")?;
            // Names of closures differ between versions of LLDB, and beyond the first frame of a fiber it may find data.
            let is_code = frame["line"] != 0;
            if is_code && name.starts_with("debugged::") && !name.contains(['$', '{']) {
                text += &format!("  {name}, line {}\n", frame["line"]);
                text += &client.variables(&frame["id"])?;
            }
        }
    }
    client.ask("disconnect", json!({ "terminateDebuggee": true }))?;
    Ok(text)
}

/// A connection to an adapter.
struct Client {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    last: u64,
}

impl Client {
    fn start(adapter: &Path) -> Result<Self> {
        let mut child = Command::new(adapter)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("cannot start LLDB's adapter")?;
        Ok(Self {
            input: child.stdin.take().expect("it is piped"),
            output: BufReader::new(child.stdout.take().expect("it is piped")),
            child,
            last: 0,
        })
    }

    /// Ends the adapter if it does not get on, so that its output ends, until the result is dropped.
    fn end_in_time(&self) -> mpsc::Sender<()> {
        let (is_over, over) = mpsc::channel::<()>();
        let adapter = self.child.id().to_string();
        thread::spawn(move || {
            if over.recv_timeout(MOST) == Err(mpsc::RecvTimeoutError::Timeout) {
                let _killed = Command::new("kill").args(["-KILL", &adapter]).status();
            }
        });
        is_over
    }

    fn send(&mut self, command: &str, arguments: Value) -> Result<u64> {
        self.last += 1;
        let request = json!({ "seq": self.last, "type": "request", "command": command, "arguments": arguments });
        let request = request.to_string();
        write!(
            self.input,
            "Content-Length: {}\r\n\r\n{request}",
            request.len()
        )?;
        self.input.flush()?;
        Ok(self.last)
    }

    fn receive(&mut self) -> Result<Value> {
        let mut length = 0;
        loop {
            let mut line = String::new();
            if self.output.read_line(&mut line)? == 0 {
                bail!("the adapter has ended");
            }
            match line.trim().split_once(": ") {
                Some(("Content-Length", value)) => length = value.parse()?,
                Some(_) => {}
                None => break,
            }
        }
        let mut bytes = vec![0; length];
        self.output.read_exact(&mut bytes)?;
        Ok(serde_json::from_slice(&bytes)?)
    }

    /// Waits for an event, and returns what it says.
    fn event(&mut self, name: &str) -> Result<Value> {
        loop {
            let mut message = self.receive()?;
            if message["event"] == name {
                return Ok(message["body"].take());
            }
        }
    }

    /// The answer to a request.
    fn ask(&mut self, command: &str, arguments: Value) -> Result<Value> {
        let number = self.send(command, arguments)?;
        loop {
            let mut message = self.receive()?;
            if message["type"] == "response" && message["request_seq"] == number {
                if message["success"] != true {
                    bail!("{command}: {message}");
                }
                return Ok(message["body"].take());
            }
        }
    }

    /// The local variable of a frame that the scene has for this.
    fn variables(&mut self, frame: &Value) -> Result<String> {
        let mut text = String::new();
        let scopes = self.ask("scopes", json!({ "frameId": frame }))?;
        let locals = &scopes["scopes"][0]["variablesReference"];
        let variables = self.ask("variables", json!({ "variablesReference": locals }))?;
        for variable in variables["variables"].as_array().context("variables")? {
            if variable["name"] == "pieces" {
                let value = variable["value"].as_str().unwrap_or("");
                text += &format!("    pieces = {value}\n");
            }
        }
        Ok(text)
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // Both fail only if the adapter has ended by itself.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
