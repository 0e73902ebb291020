-- What is kept of texts that callers send.

CREATE FUNCTION redact_text(p_text text) RETURNS text
    LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'holdfast_redact_text';
COMMENT ON FUNCTION redact_text(text) IS
'The text with a mark in the place of what identifies a person or opens an account: [REDACTED:EMAIL], [REDACTED:CREDENTIAL] (API keys), [REDACTED:CARD] (by issuer, length and Luhn), [REDACTED:SSN] (US social security numbers), [REDACTED:PHONE]. Takes time linear in the text. Redacting twice changes nothing more; JSON text stays JSON where only its strings are concerned.';
