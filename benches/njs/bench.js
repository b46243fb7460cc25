// The work of the rows, for njs.

function hello(r) {
    r.return(200, "hello world\n");
}

function headers_read(r) {
    r.headersOut["X-Agent"] = r.headersIn["User-Agent"];
    r.headersOut["Content-Type"] = "text/html";
    r.return(200, (r.headersIn.Host && r.args.a) + "\n");
}

function variables(r) {
    r.variables.number = "2";
    r.return(200, r.variables.uri + r.variables.number + "\n");
}

function regex(r) {
    const m = /([a-z]+), ([0-9]+)/.exec("hello, 1234");
    r.return(200, m[2] + "\n");
}

async function capture(r) {
    const reply = await r.subrequest("/static");
    r.return(200, reply.responseText);
}

function word() {
    return "hello world";
}

function header_filter(r) {
    r.headersOut["X-Word"] = "hello";
}

export default { hello, headers_read, variables, regex, capture, word, header_filter };
