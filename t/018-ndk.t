# ndk.set_var without the Nginx Development Kit: an error that names what is missing. With the kit
# and a module that uses it, lua-nginx-module's file of the same name is the test.

use Test::Nginx::Socket::Lua;

if ( ( $ENV{TEST_NGINX_LOAD_MODULES} || '' ) =~ /ndk_http_module/ ) {
    plan( skip_all => 'ndk_http_module is loaded' );
}
else {
    repeat_each(2);
    plan( tests => repeat_each() * 3 );
}

run_tests();

__DATA__

=== TEST 1: the kit is not loaded
--- config
    location = /t {
        content_by_lua_block {
            local ok, err = pcall(function () return ndk.set_var.set_escape_uri("a b") end)
            ngx.say(ok, " ", (err:gsub("^.-%):%d+: ", "")))
        }
    }
--- request
GET /t
--- response_body
false ndk.set_var: directive "set_escape_uri" not found or does not use ndk_set_var_value
--- error_log
ndk.set_var: the module ndk_http_module is not loaded
