package s3

import (
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/lazyregexp"
)

// Config says where a store is. [ParseURL] makes it.
type Config struct {
	Bucket string
	// Prefix is empty or ends with '/'.
	Prefix string
	// Endpoint is the address of the store, http or https. Empty means Amazon's
	// address of the region.
	Endpoint string
	// Region is empty for the region of the SDK's own configuration.
	Region string
	// PathStyle puts the bucket into the path instead of the host.
	PathStyle bool
	// DownloadEndpoint is the address of the store for clients of this server, if it
	// is another one than Endpoint.
	DownloadEndpoint string
	// Redirect makes opened objects a [blob.Presigner].
	Redirect bool
}

var (
	validBucket = lazyregexp.New(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`)
	validPrefix = lazyregexp.New(`^[A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*$`)
)

// ParseURL reads a setting such as
//
//	s3://bucket/prefix?endpoint=https://s3.example.com&region=eu-central-1&path_style=true
//
// The prefix and all parameters may be missing. path_style is true by default if there
// is an endpoint, and download_endpoint is the endpoint.
func ParseURL(text string) (Config, error) {
	c, err := parseURL(text)
	if err != nil {
		return Config{}, fmt.Errorf("%q is not the address of an S3 bucket, such as s3://bucket/prefix?region=eu-central-1: %w", redactURL(text), err)
	}
	return c, nil
}

func parseURL(text string) (c Config, err error) {
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return c, errors.New("it is not a URL")
	case u.Scheme != "s3":
		return c, errors.New("it does not begin with s3://")
	case u.User != nil:
		return c, errors.New("credentials do not belong in it; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or what else the AWS SDK reads")
	case !validBucket.MatchString(u.Host):
		return c, fmt.Errorf("%q is not the name of a bucket", u.Host)
	case u.Fragment != "":
		return c, errors.New("it has a fragment")
	}
	c.Bucket = u.Host
	if prefix := strings.Trim(u.Path, "/"); prefix != "" {
		if !validPrefix.MatchString(prefix) || len(prefix) > 512 {
			return c, fmt.Errorf("the prefix %q has other characters than A-Z, a-z, 0-9, '.', '_', '-' and '/', or a part that begins with a dot", prefix)
		}
		c.Prefix = prefix + "/"
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return c, errors.New("its parameters are not valid")
	}
	return c, c.setParameters(query)
}

func (c *Config) setParameters(query url.Values) (err error) {
	c.PathStyle = query.Get("endpoint") != ""
	for name, values := range query {
		if len(values) != 1 {
			return fmt.Errorf("the parameter %s is there more than once", name)
		}
		switch value := values[0]; name {
		case "endpoint":
			c.Endpoint, err = parseEndpoint(value)
		case "download_endpoint":
			c.DownloadEndpoint, err = parseEndpoint(value)
		case "region":
			c.Region = value
		case "path_style":
			c.PathStyle, err = strconv.ParseBool(value)
		default:
			return fmt.Errorf("the parameter %s is not known; known are endpoint, region, path_style and download_endpoint", name)
		}
		if err != nil {
			return fmt.Errorf("the parameter %s: %w", name, err)
		}
	}
	return nil
}

func parseEndpoint(text string) (string, error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
		return "", fmt.Errorf("%q is not an address such as https://s3.example.com", text)
	}
	return u.Scheme + "://" + u.Host, nil
}

// secretParameter is a parameter that does not belong into the setting, but may be there.
var secretParameter = lazyregexp.New(`(?i)([?&][^=&]*(?:key|secret|token|password|credential)[^=&]*=)[^&]*`)

// redactURL is the setting without what may be a secret in it.
func redactURL(text string) string {
	text = secretParameter.ReplaceAllString(text, "${1}…")
	before, after, ok := strings.Cut(text, "@")
	if scheme, _, found := strings.Cut(before, "://"); ok && found {
		return scheme + "://…@" + after
	}
	return text
}

// String is the address without its parameters, for messages.
func (c Config) String() string { return "s3://" + c.Bucket + "/" + strings.TrimSuffix(c.Prefix, "/") }

// DownloadHost returns the host to which clients are sent, without its port, or "" if
// the SDK chooses it.
func (c Config) DownloadHost() string {
	for _, endpoint := range []string{c.DownloadEndpoint, c.Endpoint} {
		if u, err := url.Parse(endpoint); err == nil && endpoint != "" {
			if c.PathStyle {
				return u.Hostname()
			}
			return c.Bucket + "." + u.Hostname()
		}
	}
	return ""
}
