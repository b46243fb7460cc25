//! OCSP: asking the issuer of a certificate for its status, checking the answer, and stapling it.

use std::ffi::{CStr, c_int, c_long, c_ulong, c_void};
use std::ptr::null_mut;

use codec::fallible::{self, Shown};
use export::callback;

use super::chain::Chain;
use super::objects::{
    Certificate, OcspBasic, OcspCertId, OcspRequest, OcspResponse, Owned, Result, Source,
    clearing_errors,
};
use super::pem::encode;
use super::ssl::Ssl;
use crate::nginx::sys::{
    ASN1_GENERALIZEDTIME, ASN1_TIME_to_tm, CRYPTO_free, CRYPTO_malloc, OCSP_NOVERIFY,
    OCSP_REQUEST_new, OCSP_RESPONSE_STATUS_SUCCESSFUL, OCSP_basic_verify, OCSP_cert_status_str,
    OCSP_cert_to_id, OCSP_check_validity, OCSP_request_add0_id, OCSP_resp_find_status,
    OCSP_response_get1_basic, OCSP_response_status, OCSP_response_status_str, OPENSSL_sk_value,
    SSL, SSL_CTRL_GET_TLSEXT_STATUS_REQ_TYPE, SSL_CTRL_SET_TLSEXT_STATUS_REQ_CB,
    SSL_CTRL_SET_TLSEXT_STATUS_REQ_OCSP_RESP, SSL_CTX_callback_ctrl, SSL_TLSEXT_ERR_OK, SSL_ctrl,
    SSL_get_SSL_CTX, V_OCSP_CERTSTATUS_GOOD, X509_V_OK, X509_check_issued, X509_email_free,
    X509_get1_ocsp, d2i_OCSP_RESPONSE, i2d_OCSP_REQUEST,
};

/// How many seconds the clocks of the responder and of this machine may differ.
const CLOCK_SKEW: c_long = 300;

const NO_ISSUER: &CStr = c"no issuer certificate in chain";

/// The first two certificates of a chain in DER: the server's and its issuer's.
fn certificate_and_issuer(der: &[u8]) -> Result<(Certificate, Certificate)> {
    let source = Source::new(der)?;
    let certificate = source.der_certificate()?;
    if source.is_at_end() {
        return Err(NO_ISSUER);
    }
    Ok((certificate, source.der_certificate()?))
}

/// The URL of the OCSP responder for the first certificate of a chain, if it names one.
pub fn responder(chain: &[u8]) -> Result<Option<Vec<u8>>> {
    clearing_errors(|| {
        let certificate = Source::new(chain)?.der_certificate()?;
        let Some(address) = first_responder(&certificate) else { return Ok(None) };
        let (certificate, issuer) = certificate_and_issuer(chain)?;
        // SAFETY: live certificates.
        let issued = unsafe { X509_check_issued(issuer.as_ptr(), certificate.as_ptr()) };
        if issued != X509_V_OK as c_int {
            return Err(c"issuer certificate not next to leaf");
        }
        Ok(Some(address))
    })
}

fn first_responder(certificate: &Certificate) -> Option<Vec<u8>> {
    // SAFETY: a live certificate; the list of C strings is ours until it is freed.
    unsafe {
        let list = X509_get1_ocsp(certificate.as_ptr());
        if list.is_null() {
            return None;
        }
        let first = OPENSSL_sk_value(list.cast(), 0);
        let address =
            (!first.is_null()).then(|| fallible::reason(CStr::from_ptr(first.cast()).to_bytes()));
        X509_email_free(list);
        address
    }
}

/// The id by which a responder knows a certificate.
fn id_of(certificate: &Certificate, issuer: &Certificate) -> Result<OcspCertId> {
    // SAFETY: live certificates; null asks for SHA-1; the id is ours.
    unsafe {
        OcspCertId::from_ptr(OCSP_cert_to_id(
            std::ptr::null(),
            certificate.as_ptr(),
            issuer.as_ptr(),
        ))
    }
    .ok_or(c"OCSP_cert_to_id() failed")
}

/// The request about the first certificate of a chain, in DER.
pub fn request(chain: &[u8]) -> Result<Vec<u8>> {
    clearing_errors(|| {
        let (certificate, issuer) = certificate_and_issuer(chain)?;
        // SAFETY: no arguments; the request is ours.
        let request = unsafe { OcspRequest::from_ptr(OCSP_REQUEST_new()) };
        let request = request.ok_or(c"OCSP_REQUEST_new() failed")?;
        let id = id_of(&certificate, &issuer)?;
        // SAFETY: a live request, which takes the id over unless it returns null.
        unsafe {
            if OCSP_request_add0_id(request.as_ptr(), id.as_ptr()).is_null() {
                return Err(c"OCSP_request_add0_id() failed");
            }
        }
        id.into_ptr();
        // SAFETY: a live request; `encode` asks for the length first, and provides that much
        // memory.
        let encoder = |out: *mut *mut u8| unsafe { i2d_OCSP_REQUEST(request.as_ptr(), out) };
        let failed = c"i2d_OCSP_REQUEST() failed";
        let len = usize::try_from(encoder(null_mut())).map_err(|_| failed)?;
        let mut bytes = fallible::zeroes(len).map_err(|_| c"no memory")?;
        encode(&mut bytes, encoder).ok_or(failed)?;
        Ok(bytes)
    })
}

/// Checks that an answer says that the first certificate of a chain is good. Returns when a newer
/// answer will be there, in seconds since the epoch, if it says so.
pub fn validate(response: &[u8], chain: &[u8]) -> std::result::Result<Option<c_long>, String> {
    clearing_errors(|| {
        let basic = read_response(response)?;
        let (certificate, issuer) = certificate_and_issuer(chain).map_err(text)?;
        let id = id_of(&certificate, &issuer).map_err(text)?;
        verify_signature(&basic, issuer)?;
        check_status(&basic, &id)
    })
}

fn text(reason: &CStr) -> String {
    fallible::text(format_args!("{}", Shown(reason.to_bytes())))
}

/// The signed part of a successful answer.
fn read_response(response: &[u8]) -> std::result::Result<OcspBasic, String> {
    let len = c_long::try_from(response.len()).map_err(|_| "d2i_OCSP_RESPONSE() failed")?;
    let mut at = response.as_ptr();
    // SAFETY: the bytes' own length; the response and its part are ours; OpenSSL's texts are
    // static.
    unsafe {
        let response = OcspResponse::from_ptr(d2i_OCSP_RESPONSE(null_mut(), &mut at, len))
            .ok_or("d2i_OCSP_RESPONSE() failed")?;
        let status = OCSP_response_status(response.as_ptr());
        if status != OCSP_RESPONSE_STATUS_SUCCESSFUL as c_int {
            let words = CStr::from_ptr(OCSP_response_status_str(status.into()));
            return Err(fallible::text(format_args!(
                "OCSP response not successful ({status}: {})",
                text(words)
            )));
        }
        OcspBasic::from_ptr(OCSP_response_get1_basic(response.as_ptr()))
            .ok_or_else(|| String::from("OCSP_response_get1_basic() failed"))
    }
}

/// Checks that the issuer, or a responder that it trusts, signed the answer.
fn verify_signature(basic: &OcspBasic, issuer: Certificate) -> std::result::Result<(), String> {
    let mut chain = Chain::new().ok_or("sk_X509_new_null() failed")?;
    chain.push(issuer).map_err(|_| "sk_X509_push() failed")?;
    // SAFETY: a live answer and chain; without a store, the chain itself is trusted.
    let verified = unsafe {
        OCSP_basic_verify(
            basic.as_ptr(),
            chain.as_ptr().cast(),
            null_mut(),
            c_ulong::from(OCSP_NOVERIFY),
        )
    };
    if verified == 1 { Ok(()) } else { Err("OCSP_basic_verify() failed".into()) }
}

fn check_status(basic: &OcspBasic, id: &OcspCertId) -> std::result::Result<Option<c_long>, String> {
    let mut status: c_int = 0;
    let (mut from, mut until) = (null_mut(), null_mut());
    // SAFETY: a live answer and id; the times stay the answer's; OpenSSL's texts are static.
    unsafe {
        let found = OCSP_resp_find_status(
            basic.as_ptr(),
            id.as_ptr(),
            &mut status,
            null_mut(),
            null_mut(),
            &mut from,
            &mut until,
        );
        if found != 1 {
            return Err("certificate status not found in the OCSP response".into());
        }
        if status != V_OCSP_CERTSTATUS_GOOD as c_int {
            let words = text(CStr::from_ptr(OCSP_cert_status_str(status.into())));
            return Err(fallible::text(format_args!(
                "certificate status \"{words}\" in the OCSP response"
            )));
        }
        if OCSP_check_validity(from, until, CLOCK_SKEW, -1) != 1 {
            return Err("OCSP_check_validity() failed".into());
        }
        if until.is_null() {
            return Ok(None);
        }
        let seconds = seconds_since_epoch(until);
        seconds.map(Some).ok_or_else(|| "invalid nextUpdate time in certificate status".into())
    }
}

/// A time of OpenSSL's in seconds since the epoch.
///
/// # Safety
/// `time` must be a live object.
unsafe fn seconds_since_epoch(time: *const ASN1_GENERALIZEDTIME) -> Option<c_long> {
    // SAFETY: `time` is live, the contract of this function; all zero is a value of the C
    // structure, which both functions write.
    let seconds = unsafe {
        let mut parts: libc::tm = std::mem::zeroed();
        if ASN1_TIME_to_tm(time, (&raw mut parts).cast()) != 1 {
            return None;
        }
        libc::timegm(&mut parts)
    };
    (seconds >= 0).then_some(seconds)
}

impl Ssl {
    /// Sends the client an OCSP answer with the certificate; false if it did not ask for one.
    pub fn staple(self, response: &[u8]) -> Result<bool> {
        let asked = SSL_CTRL_GET_TLSEXT_STATUS_REQ_TYPE as c_int;
        let set = SSL_CTRL_SET_TLSEXT_STATUS_REQ_OCSP_RESP as c_int;
        let len = c_long::try_from(response.len()).map_err(|_| c"OPENSSL_malloc() failed")?;
        // SAFETY: a live connection with its server's context. The copy has the response's length,
        // and belongs to OpenSSL once it returns 1; the callback has the type that the option
        // needs.
        unsafe {
            if SSL_ctrl(self.as_ptr(), asked, 0, null_mut()) == -1 {
                return Ok(false);
            }
            // Without a callback, OpenSSL sends nothing.
            SSL_CTX_callback_ctrl(
                SSL_get_SSL_CTX(self.as_ptr()),
                SSL_CTRL_SET_TLSEXT_STATUS_REQ_CB as c_int,
                Some(std::mem::transmute::<
                    unsafe extern "C" fn(*mut SSL, *mut c_void) -> c_int,
                    unsafe extern "C" fn(),
                >(has_answer)),
            );
            let file = c"ocsp".as_ptr();
            let copy = CRYPTO_malloc(response.len().max(1), file, 0);
            if copy.is_null() {
                return Err(c"OPENSSL_malloc() failed");
            }
            std::ptr::copy_nonoverlapping(response.as_ptr(), copy.cast(), response.len());
            if SSL_ctrl(self.as_ptr(), set, len, copy) == 0 {
                CRYPTO_free(copy, file, 0);
            }
        }
        Ok(true)
    }
}

/// OpenSSL asks whether to staple: it sends the answer that [`Ssl::staple`] has set, if any.
///
/// # Safety
/// Only OpenSSL may call this, as the callback that it was registered as.
#[callback(unguarded = "it does nothing")]
unsafe extern "C" fn has_answer(_ssl: *mut SSL, _data: *mut c_void) -> c_int {
    SSL_TLSEXT_ERR_OK as c_int
}
