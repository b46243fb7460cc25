# nginx's configure reads this file too, when it writes the Makefile: the rule by which make runs cargo,
# which knows itself whether there is anything to do. cargo finds its .cargo/config.toml by where it runs.

case "$NGX_OBJS" in
    /*) ngx_lua_objs=$NGX_OBJS ;;
    *)  ngx_lua_objs=`pwd`/$NGX_OBJS ;;
esac

# Angie's headers are none that the crate ngx compiles with.
ngx_lua_features="--no-default-features --features ngx"
if [ -f src/core/angie.h ]; then
    ngx_lua_features="--no-default-features"
fi

cat << END                                                    >> $NGX_MAKEFILE

.PHONY: $ngx_lua_archive

$ngx_lua_archive:
	cd "$ngx_addon_dir" && \\
	NGINX_SOURCE_DIR="`pwd`" NGINX_BUILD_DIR="$ngx_lua_objs" \\
	$ngx_lua_cargo rustc --package ngx-http-lua-module --locked --release \\
		$ngx_lua_features --crate-type staticlib \\
		--target-dir "$ngx_lua_objs/ngx_http_lua_module"

$NGX_OBJS/ngx_http_lua_module.so: $ngx_lua_archive
END
