#!/bin/sh
# Makes the certificates of the tests anew, valid for a hundred years; writes next to itself.
# Nothing here is secret: the keys are for these tests alone.
#
#   ca            the authority that the tests trust
#   test          a server's for test.com, issued by ca
#   deep          a server's for test.com, issued by middle, which ca issued; middle stands behind it
#   revoked       a server's for test.com, issued by ca and revoked in crl.pem
#   address       a server's for 127.0.0.1 and ::1, issued by ca
#   client        a client's, issued by middle, which stands behind it
#   stranger      a server's for stranger.org that nobody but itself vouches for
set -e
# Valid from a day on that is over by any clock that is right.
[ -n "$FAKETIME" ] || exec faketime '2025-02-01 00:00:00' "$0"
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
days=36500

# key NAME: a new key.
key() { openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1.key"; }

# issue NAME ISSUER SUBJECT EXTENSION...: a key, and a certificate that ISSUER signs.
issue() {
    name=$1 issuer=$2 subject=$3
    shift 3
    printf '%s\n' "$@" >"$work/extensions"
    key "$name"
    openssl req -new -key "$name.key" -subj "$subject" |
        openssl x509 -req -days $days -CA "$issuer.crt" -CAkey "$issuer.key" \
            -extfile "$work/extensions" -out "$name.crt"
}

key ca
openssl req -x509 -new -key ca.key -days $days -subj '/CN=Test authority' -out ca.crt \
    -addext keyUsage=critical,keyCertSign,cRLSign
key stranger
openssl req -x509 -new -key stranger.key -days $days -subj '/CN=stranger.org' -out stranger.crt \
    -addext subjectAltName=DNS:stranger.org

names='subjectAltName=DNS:test.com,DNS:*.test.com'
issue test ca '/CN=test.com' "$names"
issue revoked ca '/CN=test.com' "$names"
issue address ca '/CN=address' subjectAltName=IP:127.0.0.1,IP:::1
issue middle ca '/CN=Test middle' basicConstraints=critical,CA:TRUE keyUsage=critical,keyCertSign
issue deep middle '/CN=test.com' "$names"
issue client middle '/CN=client' extendedKeyUsage=clientAuth
cat middle.crt >>deep.crt
cat middle.crt >>client.crt

: >"$work/index.txt"
cat >"$work/ca.conf" <<END
[ca]
default_ca = ca
[ca]
database = $work/index.txt
crlnumber = $work/number
default_md = sha256
default_crl_days = $days
END
echo 01 >"$work/number"
openssl ca -config "$work/ca.conf" -cert ca.crt -keyfile ca.key -revoke revoked.crt
openssl ca -config "$work/ca.conf" -cert ca.crt -keyfile ca.key -gencrl -out crl.pem
rm -f middle.key middle.crt
