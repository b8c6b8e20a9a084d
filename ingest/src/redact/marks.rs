//! Tokens that their vendors made to be found: what they begin with, or the shape that they have.
//!
//! Facts, as scanners of repositories list them: prefixes, alphabets and lengths.

/// What tokens begin with; behind it stand at least sixteen characters that look drawn by lot.
const MARKS: &[&str] = &[
    // Code: GitLab, crates, packages, builds.
    "gl(?:rt|dt|cbt|ptt|ft|soat|imt|agent|oas|ffct)-",
    "GR1348941",
    "dckr_oat_",
    "rubygems_",
    "CLOJARS_",
    "CCIPAT_",
    "bk(?:ua|pat|pt)_",
    "sgp_",
    "slk_",
    "sq[upa]_",
    "snyk_",
    "lin_(?:api|oauth)_",
    "ntn_",
    "fig[dou]_",
    "PMAK-",
    "CFPAT-",
    "tfp_",
    "ATATT3",
    "ATCTT3",
    "ATBB",
    "ATTA",
    "pnu_",
    "pnb_",
    "dbt[csu]_",
    // Clouds and hosts.
    "d(?:op|oo|or)_v1_",
    "tskey-[a-z]+-",
    "fm[12]_",
    "fo1_",
    "HRKU-",
    "nf[pcou]_",
    "rnd_",
    "cf[ua]t_",
    "vc[pkair]_",
    "pul-",
    "dp\\.(?:pt|st|ct|sa|scim|audit)\\.(?:[a-z0-9_-]+\\.)?",
    "pscale_[a-z]+_",
    "sbp_",
    "sb_secret_",
    "AVNS_",
    "napi_",
    "GOCSPX-",
    "IQoJb3JpZ2lu",
    "FwoGZXIvYXdz",
    "ABSK",
    "t1\\.9eu",
    "ops_",
    "st\\.[a-z]+\\.",
    // What watches.
    "glsa_",
    "glc_",
    "NR(?:AK|II|JS|RA|SP|AA)-",
    "dt0[a-z][0-9]{2}\\.",
    "sntry[su]_",
    "hc[axb][a-z]k_",
    "ddapi_",
    // Models.
    "hf_",
    "api_org_",
    "r8_",
    "gsk_",
    "pplx-",
    "xai-",
    "nvapi-",
    "pcsk_",
    "lsv2_[a-z]+_",
    "csk-",
    "fw_",
    "tgp_v1_",
    // Money and messages.
    "shp(?:at|ss|ca|pa|tka)_",
    "sq0[a-z]{3}-",
    "whsec_",
    "rzp_(?:live|test)_",
    "FLWSECK(?:_TEST)?-",
    "access_token\\$production\\$",
    "shippo_(?:live|test)_",
    "duffel_(?:live|test)_",
    "xkeysib-",
    "xsmtpsib-",
    "aio_",
    "AGE-SECRET-KEY-1",
];

/// Characters of which tokens are made.
const TAIL: &str = "[A-Za-z0-9_.=+/~$-]{16,}";

/// Whole tokens, where a mark is short or stands in the middle.
const SHAPES: &[&str] = &[
    // Databricks, Mailgun, Twilio, Mailchimp: a mark and a number in hex.
    "dapi[0-9a-f]{32}",
    "key-[0-9a-f]{32}",
    "SK[0-9a-f]{32}",
    "[0-9a-f]{32}-us[0-9]{1,2}",
    "rzp_(?:live|test)_[A-Za-z0-9]{14}",
    "cio[A-Za-z0-9]{32}",
    "oy2[a-z0-9]{43}",
    "AKCp[A-Za-z0-9]{60,}",
    "cmVmdGtu[A-Za-z0-9]{40,}",
    "AQVN[A-Za-z0-9_-]{35,}",
    "EZ[AT]K[A-Za-z0-9]{54}",
    "EAAC[A-Za-z0-9]{60,}",
    "A{21}[A-Za-z0-9%]{30,}",
    "1//0[A-Za-z0-9_-]{30,}",
    "[0-9]{8,10}:AA[A-Za-z0-9_-]{33}",
    "[MNO][A-Za-z0-9_-]{23,25}\\.[A-Za-z0-9_-]{6}\\.[A-Za-z0-9_-]{27,}",
    // Airtable, HubSpot, LaunchDarkly.
    "pat[A-Za-z0-9]{14}\\.[0-9a-f]{64}",
    "pat-[a-z]{2}[0-9]-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}",
    "(?:sdk|mob)-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}",
    // Terraform, Vault, Azure, Rancher, k3s, kubeadm.
    "[A-Za-z0-9]{14}\\.atlasv1\\.[A-Za-z0-9_=-]{60,}",
    "s\\.[A-Za-z0-9]{24}",
    "[A-Za-z0-9_~.]{3}8Q~[A-Za-z0-9_~.-]{31,34}",
    "[A-Za-z0-9+/]{76}(?:\\+ASt|\\+AMC|\\+ARm|\\+ACR|ACDb|AIoT|AzFu|AzSe|AZDO)[A-Za-z0-9+/]{3,6}={0,2}",
    "token-[a-z0-9]{5}:[a-z0-9]{54}",
    "K10[0-9a-f]{64}::[a-z0-9:-]*[0-9a-f]{32,}",
    "[a-z]*[0-9][a-z0-9]*\\.[a-z0-9]{16}",
    "[a-z0-9]{6}\\.[a-z]+[0-9][a-z0-9]+",
];

/// The form of tokens with a mark.
pub(super) fn marked() -> String {
    format!(r"(?:^|[^A-Za-z0-9])((?:{}){TAIL})", MARKS.join("|"))
}

/// The form of tokens with a shape.
pub(super) fn shaped() -> String {
    format!(r"(?:^|[^A-Za-z0-9._/+-])({})(?:$|[^A-Za-z0-9_/+=-])", SHAPES.join("|"))
}

/// Whether a text has a run of sixteen letters and digits in which both are: what every such token has.
pub(super) fn has_drawn_run(text: &str) -> bool {
    let (mut length, mut letters, mut digits) = (0_u32, false, false);
    text.bytes().any(|byte| {
        if byte.is_ascii_alphanumeric() {
            length += 1;
            letters |= byte.is_ascii_alphabetic();
            digits |= byte.is_ascii_digit();
        } else {
            (length, letters, digits) = (0, false, false);
        }
        length >= 16 && letters && digits
    })
}
