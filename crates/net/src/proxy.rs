//! How does a node dial that must not be seen dialling?
//!
//! Through a SOCKS5 proxy, Tor's for example: it connects in the node's place and resolves names, so that neither a
//! connection nor a question to a name server leaves this machine by another way.

mod dialer;

use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

pub(crate) use dialer::{Dialer, ListenOnly, PROXY_TIMEOUT, ProxyError};

/// Longest name of a host (RFC 1035), and longest user name and password (RFC 1929).
const NAME_BYTES_MAX: usize = 253;
const LOGIN_BYTES_MAX: usize = 255;

/// A SOCKS5 proxy, written as `socks5://[USER:PASSWORD@]HOST:PORT[?isolate]`.
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy {
    host: String,
    port: u16,
    login: Option<Login>,
    isolated: bool,
}

/// What a proxy is shown that asks who is there.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Login {
    pub(crate) user: String,
    pub(crate) password: String,
}

/// Why a text is no proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProxyFormatError {
    /// Not of the form.
    #[error("not a proxy; write for example socks5://127.0.0.1:9050")]
    Malformed,
    /// A user name or password that SOCKS5 cannot carry.
    #[error("user name and password of a proxy have 1 to {LOGIN_BYTES_MAX} bytes each")]
    Login,
    /// Both a login and isolation, which uses the place of the login.
    #[error("a proxy takes either a user name or `?isolate`, not both")]
    Both,
}

// === impl Proxy ===

impl Proxy {
    /// A proxy that asks for no login. `host` is a name or an IP address, the latter without brackets.
    pub fn new(host: impl Into<String>, port: u16) -> Result<Self, ProxyFormatError> {
        let host = host.into();
        if port == 0 || !is_host(&host) {
            return Err(ProxyFormatError::Malformed);
        }
        Ok(Self {
            host,
            port,
            login: None,
            isolated: false,
        })
    }

    /// The same, with a login.
    pub fn with_login(
        mut self,
        user: impl Into<String>,
        password: impl Into<String>,
    ) -> Result<Self, ProxyFormatError> {
        let (user, password) = (user.into(), password.into());
        let fits = |text: &str| (1..=LOGIN_BYTES_MAX).contains(&text.len());
        if !(fits(&user) && fits(&password)) {
            return Err(ProxyFormatError::Login);
        }
        if self.isolated {
            return Err(ProxyFormatError::Both);
        }
        self.login = Some(Login { user, password });
        Ok(self)
    }

    /// The same, with another login for each place that is dialled: Tor then takes another circuit for each, so that the
    /// exits cannot tell that the same node is behind them.
    pub fn isolated(mut self) -> Result<Self, ProxyFormatError> {
        if self.login.is_some() {
            return Err(ProxyFormatError::Both);
        }
        self.isolated = true;
        Ok(self)
    }

    /// Host and port as in a URL.
    pub(crate) fn place(&self) -> String {
        let Self { host, port, .. } = self;
        if host.contains(':') {
            format!("[{host}]:{port}")
        } else {
            format!("{host}:{port}")
        }
    }

    pub(crate) fn socket(&self) -> (&str, u16) {
        (&self.host, self.port)
    }

    /// The login for dialling `target`.
    pub(crate) fn login(&self, target: &str) -> Option<Login> {
        if !self.isolated {
            return self.login.clone();
        }
        let mut user = target.to_owned();
        user.truncate(LOGIN_BYTES_MAX);
        Some(Login {
            user,
            password: "rustle".to_owned(),
        })
    }
}

impl FromStr for Proxy {
    type Err = ProxyFormatError;

    fn from_str(text: &str) -> Result<Self, ProxyFormatError> {
        use ProxyFormatError::Malformed;
        let rest = text.strip_prefix("socks5://").ok_or(Malformed)?;
        let (rest, isolated) = match rest.strip_suffix("?isolate") {
            Some(rest) => (rest, true),
            None => (rest, false),
        };
        let (login, place) = match rest.rsplit_once('@') {
            Some((login, place)) => (Some(login.split_once(':').ok_or(Malformed)?), place),
            None => (None, rest),
        };
        let (host, port) = place.rsplit_once(':').ok_or(Malformed)?;
        let host = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
            Some(v6) => v6.parse::<Ipv6Addr>().map_err(|_| Malformed)?.to_string(),
            None if host.contains(':') => return Err(Malformed),
            None => host.to_owned(),
        };
        let mut proxy = Self::new(host, port.parse().map_err(|_| Malformed)?)?;
        if let Some((user, password)) = login {
            proxy = proxy.with_login(user, password)?;
        }
        if isolated {
            proxy = proxy.isolated()?;
        }
        Ok(proxy)
    }
}

/// Without the password, as it ends up in logs.
impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("socks5://")?;
        if let Some(login) = &self.login {
            write!(f, "{}@", login.user)?;
        }
        f.write_str(&self.place())?;
        if self.isolated {
            f.write_str("?isolate")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proxy({self})")
    }
}

fn is_host(text: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    let is_name = (1..=NAME_BYTES_MAX).contains(&text.len()) && text.bytes().all(is_letter);
    is_name || text.parse::<Ipv6Addr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proxies_are_hosts_with_ports_and_perhaps_a_login() {
        for text in [
            "socks5://127.0.0.1:9050",
            "socks5://[::1]:1080",
            "socks5://tor.example:9150",
            "socks5://127.0.0.1:9050?isolate",
        ] {
            assert_eq!(text.parse::<Proxy>().unwrap().to_string(), text);
        }
        let proxy: Proxy = "socks5://me:se@c:ret@host:1".parse().unwrap();
        let login = proxy.login("anywhere").unwrap();
        assert_eq!((login.user.as_str(), login.password.as_str()), ("me", "se@c:ret"));
        assert!(!format!("{proxy} {proxy:?}").contains("ret"));
        for text in [
            "",
            "127.0.0.1:9050",
            "http://127.0.0.1:9050",
            "socks5://127.0.0.1",
            "socks5://:9050",
            "socks5://::1:9050",
            "socks5://[x]:9050",
            "socks5://host:0",
            "socks5://host:65536",
            "socks5://ho st:1",
            "socks5://me@host:1",
        ] {
            assert_eq!(text.parse::<Proxy>(), Err(ProxyFormatError::Malformed), "{text}");
        }
        assert_eq!(
            "socks5://:x@host:1".parse::<Proxy>(),
            Err(ProxyFormatError::Login)
        );
        let long = format!("socks5://me:{}@host:1", "x".repeat(LOGIN_BYTES_MAX + 1));
        assert_eq!(long.parse::<Proxy>(), Err(ProxyFormatError::Login));
        assert_eq!(
            "socks5://me:secret@host:1?isolate".parse::<Proxy>(),
            Err(ProxyFormatError::Both)
        );
    }

    #[test]
    fn isolation_gives_each_place_a_login_of_its_own() {
        let proxy = Proxy::new("127.0.0.1", 9050).unwrap().isolated().unwrap();
        let user = |target: &str| proxy.login(target).unwrap().user;
        assert_eq!(user("a.example:1"), user("a.example:1"));
        assert_ne!(user("a.example:1"), user("b.example:1"));
        assert_eq!(user(&"x".repeat(300)).len(), LOGIN_BYTES_MAX);
    }
}
