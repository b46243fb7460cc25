//! An example on a page.

use std::fmt::Write;

use anyhow::Result;

use super::entry::Example;

/// Adds an example, and what a request of it gives.
pub fn example(page: &mut String, example: &Example) -> Result<()> {
    if !example.is_there() {
        return Ok(());
    }
    let main = example.main.as_deref().map(|main| main.trim_end().to_string());
    let mut nginx: Vec<String> = main.into_iter().collect();
    if let Some(http) = &example.http {
        nginx.push(http.trim_end().to_string());
    }
    let config = match (&example.lua, nginx.is_empty()) {
        (Some(lua), true) => {
            write!(page, "\n{}", fenced("lua", lua))?;
            None
        }
        (Some(_), false) => Some(location(example)),
        (None, _) => example.config.clone(),
    };
    if let Some(config) = config {
        nginx.push(match nginx.is_empty() {
            true => config.trim_end().to_string(),
            false => format!("server {{\n{}\n}}", indented(&config)),
        });
    }
    if !nginx.is_empty() {
        write!(page, "\n{}", fenced("nginx", &nginx.join("\n\n")))?;
    }
    answer(page, example)
}

/// The example's code as a location.
pub fn location(example: &Example) -> String {
    let lua = example.lua.as_deref().unwrap_or_default();
    format!(
        "location = /t {{\n    content_by_lua_block {{\n{}\n    }}\n}}\n",
        indented(&indented(lua.trim_end()))
    )
}

/// What a request of the example gives.
fn answer(page: &mut String, example: &Example) -> Result<()> {
    let request = example.request.as_deref().unwrap_or("GET /t").trim_end();
    let asked = match (request, &example.headers) {
        ("GET /t", None) => "This gives".to_string(),
        (line, None) if !line.contains('\n') => format!("`{line}` gives"),
        (request, headers) => {
            let (line, body) = request.split_once('\n').unwrap_or((request, ""));
            let headers = headers.as_deref().unwrap_or_default().trim_end();
            let parts = [line, headers, body].into_iter().filter(|part| !part.is_empty());
            let shown = parts.collect::<Vec<_>>().join("\n");
            write!(page, "\nThe request\n\n{}", fenced("", &shown))?;
            "gives".to_string()
        }
    };
    let status = example.status.map(|status| format!(" the status {status}"));
    let headers = example.response_headers.as_deref().map(|headers| {
        let headers: Vec<_> = headers.lines().map(|line| format!("`{line}`")).collect();
        format!(" the response header {}", headers.join(", "))
    });
    let said: Vec<String> = status.into_iter().chain(headers).collect();
    let mut said = said.join(" and");
    if let Some(response) = &example.response {
        if !said.is_empty() {
            said += " and";
        }
        match response.is_empty() {
            true => write!(page, "\n{asked}{said} no body.\n")?,
            false => write!(page, "\n{asked}{said}\n\n{}", fenced("", response))?,
        }
    } else if let Some(pattern) = &example.response_like {
        write!(page, "\n{asked}{said} what matches\n\n{}", fenced("", pattern))?;
    } else if !said.is_empty() {
        write!(page, "\n{asked}{said}.\n")?;
    }
    if let Some(log) = &example.log {
        write!(page, "\nand in the error log\n\n{}", fenced("", log))?;
    }
    Ok(())
}

/// A block of code.
pub fn fenced(language: &str, text: &str) -> String {
    format!("```{language}\n{}\n```\n", text.trim_end())
}

/// `text`, four spaces further to the right.
pub fn indented(text: &str) -> String {
    let line = |line: &str| match line.is_empty() {
        true => String::new(),
        false => format!("    {line}"),
    };
    text.trim_end().lines().map(line).collect::<Vec<_>>().join("\n")
}
