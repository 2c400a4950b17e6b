package postgres

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gatehouse-registry/gatehouse/internal/lazyregexp"
)

// defaultPool is the number of connections of one server. PostgreSQL accepts 100
// if nothing else is configured.
const defaultPool = 20

// connectTimeout is for one host of the URL.
const connectTimeout = 5 * time.Second

// defaults are the parameters of a session that the URL does not set.
var defaults = map[string]string{
	"application_name":                    "gatehouse",
	"statement_timeout":                   "30s",
	"lock_timeout":                        "10s",
	"idle_in_transaction_session_timeout": "60s",
}

// IsURL reports whether text has the form of a PostgreSQL URL.
func IsURL(text string) bool {
	return strings.HasPrefix(text, "postgres://") || strings.HasPrefix(text, "postgresql://")
}

// CheckURL returns an error that says what is wrong with the URL of a database. It
// makes no connection.
//
//	postgres://USER:PASSWORD@HOST:PORT/DATABASE?sslmode=verify-full&sslrootcert=FILE
//
// All parameters of libpq and pgx count, and the environment variables PGPASSWORD,
// PGPASSFILE and so on for what the URL does not say. pool_max_conns is the number
// of connections. sslmode has to be there unless the server is on this machine.
func CheckURL(text string) error {
	_, _, err := parse(text)
	return err
}

// passwords are the places of a URL that have one. Before the last @ everything
// counts as the password, also in a URL that is not valid because the password has
// special characters.
var passwords = lazyregexp.New(`(postgres(?:ql)?://[^\s/@:"']*:)[^\s"']*(@)|((?:ssl)?password=)[^&\s"']+`)

// Redact returns a text without the passwords of the PostgreSQL URLs in it.
func Redact(text string) string { return passwords.ReplaceAllString(text, "${1}${3}xxxxx${2}") }

func parse(text string) (config *pgx.ConnConfig, pool int, err error) {
	u, err := url.Parse(text)
	if err != nil || !IsURL(text) { // the error has the URL, with the password
		return nil, 0, errors.New("neither sqlite nor a valid URL: write postgres://USER:PASSWORD@HOST:PORT/DATABASE, with special characters of the password as %XX")
	}
	q := u.Query()
	pool = defaultPool
	if size := q.Get("pool_max_conns"); size != "" {
		if pool, err = strconv.Atoi(size); err != nil || pool < 2 || pool > 1000 {
			return nil, 0, fmt.Errorf("pool_max_conns is %q, and must be a number from 2 to 1000", size)
		}
		q.Del("pool_max_conns")
		u.RawQuery = q.Encode()
	}
	config, err = pgx.ParseConfig(u.String())
	if err != nil {
		return nil, 0, errors.New(Redact(err.Error()))
	}
	if err := checkTLS(config, q.Get("sslmode")); err != nil {
		return nil, 0, err
	}
	for name, value := range defaults {
		if _, set := config.RuntimeParams[name]; !set {
			config.RuntimeParams[name] = value
		}
	}
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = connectTimeout
	}
	config.DialFunc = dialer.DialContext
	return config, pool, nil
}

// checkTLS refuses a URL that leaves it to the server on the network whether the
// connection is encrypted, which is the default of PostgreSQL's clients.
func checkTLS(config *pgx.ConnConfig, mode string) error {
	if mode != "" || os.Getenv("PGSSLMODE") != "" {
		return nil
	}
	hosts := []string{config.Host}
	for _, f := range config.Fallbacks {
		hosts = append(hosts, f.Host)
	}
	for _, host := range hosts {
		ip := net.ParseIP(host)
		if local := strings.HasPrefix(host, "/") || host == "localhost" || ip != nil && ip.IsLoopback(); !local {
			return fmt.Errorf("the URL does not say how the connection to %s is protected: add sslmode=verify-full (with sslrootcert=FILE for a private authority), or sslmode=disable if the network between is trusted", host)
		}
	}
	return nil
}
