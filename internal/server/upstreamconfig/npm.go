package upstreamconfig

import "regexp"

// npm looks where npm does (docs of npm, "config" and "npmrc"): environment, the user's
// file, the machine's.
func npm(e Environment) (address, error) {
	if a, ok := e.variable("npm", "npm_config_registry", "NPM_CONFIG_REGISTRY"); ok {
		return a, nil
	}
	user := e.Getenv("NPM_CONFIG_USERCONFIG")
	if user == "" {
		user = e.Getenv("npm_config_userconfig")
	}
	if user == "" {
		user = e.home(".npmrc")
	}
	return e.first("npm", func(text string) (string, error) {
		return e.expand(iniValue(text, "", func(key string) bool { return key == "registry" })), nil
	}, user, e.Getenv("NPM_CONFIG_GLOBALCONFIG"), e.system("usr/local/etc/npmrc"), e.system("usr/etc/npmrc"), e.system("etc/npmrc"))
}

var npmVariable = regexp.MustCompile(`\$\{[A-Za-z0-9_]+\}`)

// expand replaces ${NAME}.
func (e Environment) expand(text string) string {
	return npmVariable.ReplaceAllStringFunc(text, func(v string) string { return e.Getenv(v[2 : len(v)-1]) })
}
