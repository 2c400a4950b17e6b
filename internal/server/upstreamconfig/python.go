package upstreamconfig

import "strings"

// python looks where pip does (pip's user guide, "Configuration"), and at the variables
// of uv.
func python(e Environment) (address, error) {
	if a, ok := e.variable("pip", "PIP_INDEX_URL"); ok {
		return a, nil
	}
	if a, ok := e.variable("uv", "UV_DEFAULT_INDEX", "UV_INDEX_URL"); ok {
		if _, url, named := strings.Cut(a.url, "="); named && !strings.Contains(a.url[:len(a.url)-len(url)], "/") {
			a.url = url // NAME=URL
		}
		return a, nil
	}
	return e.first("pip", func(text string) (string, error) {
		// install is the section of the command that looks for packages; it wins.
		for _, section := range []string{"install", "global"} {
			if url := iniValue(text, section, isIndexURL); url != "" {
				return url, nil
			}
		}
		return "", nil
	}, e.Getenv("PIP_CONFIG_FILE"), e.configHome("pip", "pip.conf"), e.home(".pip", "pip.conf"),
		e.home("Library", "Application Support", "pip", "pip.conf"), e.system("etc/xdg/pip/pip.conf"), e.system("etc/pip.conf"))
}

func isIndexURL(key string) bool {
	return strings.ReplaceAll(strings.ToLower(key), "_", "-") == "index-url"
}
