#!/bin/sh
# Makes what the tests of OCSP need, valid for a hundred years, with the authority that make.sh made;
# writes next to itself.
#
#   locked.key              test.key, encrypted with the passphrase 123456
#   stapled                 a server's for test.com, issued by ca, which names who answers for it;
#                           ca stands behind it
#   stapled_good.der        what ca answers for it: good, revoked, long ago, to a request of none
#   stapled_revoked.der
#   stapled_old.der
#   stapled_refused.der
set -e
# Valid from a day on that is over by any clock that is right.
[ -n "$FAKETIME" ] || exec faketime '2025-02-01 00:00:00' "$0"
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
days=36500

openssl ec -in test.key -aes128 -passout pass:123456 -out locked.key

openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out stapled.key
cat >"$work/extensions" <<END
subjectAltName=DNS:test.com,DNS:*.test.com
authorityInfoAccess=OCSP;URI:http://127.0.0.1:8888/ocsp?a=1
END
openssl req -new -key stapled.key -subj /CN=test.com |
    openssl x509 -req -days $days -set_serial 0x1234 -CA ca.crt -CAkey ca.key \
        -extfile "$work/extensions" -out stapled.crt
openssl ocsp -issuer ca.crt -cert stapled.crt -no_nonce -reqout "$work/request"
cat ca.crt >>stapled.crt

# answer NAME STATUS REVOKED OPTION...: what ca answers, by one line of an index of certificates.
answer() {
    name=$1 status=$2 revoked=$3
    shift 3
    printf '%s\t21251231235959Z\t%s\t1234\tunknown\t/CN=test.com\n' "$status" "$revoked" \
        >"$work/index"
    openssl ocsp -index "$work/index" -CA ca.crt -rsigner ca.crt -rkey ca.key \
        -reqin "$work/request" -respout "stapled_$name.der" "$@"
}
answer good V '' -ndays $days
answer revoked R 250101000000Z -ndays $days
answer old V '' -nmin 1

# A status without an answer: 6, unauthorized.
printf '\060\003\012\001\006' >stapled_refused.der
