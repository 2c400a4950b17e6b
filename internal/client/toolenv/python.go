package toolenv

import (
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/client/project"
)

// simple is the address of a repository's index (PEP 503), with user name and
// password.
func simple(e project.Endpoint) string { return withUser(e, "simple/") }

// simples are the indexes of several repositories, for variables with a list
// separated by spaces.
func simples(endpoints []project.Endpoint) string {
	list := make([]string, len(endpoints))
	for i, e := range endpoints {
		list[i] = simple(e)
	}
	return strings.Join(list, " ")
}

// pip reads the password from the address, as it has no other variable for it. It
// does not print it.
func pip(s *setter) {
	s.addressed("PIP_INDEX_URL", simple(s.first()), s.first())
	s.unset("PIP_EXTRA_INDEX_URL", "PIP_NO_INDEX")
	if more := s.endpoints[1:]; len(more) > 0 {
		s.addressed("PIP_EXTRA_INDEX_URL", simples(more), more...)
	}
}

// uv has variables for the password of a named index, but a project's pyproject.toml
// could give that name to another address. So the password is in the address; uv
// does not write it into uv.lock.
func uv(s *setter) {
	s.addressed("UV_DEFAULT_INDEX", simple(s.first()), s.first())
	s.unset("UV_INDEX", "UV_INDEX_URL", "UV_EXTRA_INDEX_URL", "UV_NO_INDEX", "UV_PUBLISH_TOKEN", "UV_PUBLISH_INDEX")
	if more := s.endpoints[1:]; len(more) > 0 {
		s.addressed("UV_INDEX", simples(more), more...)
	}
	s.set("UV_PUBLISH_URL", s.first().Endpoint.String())
	s.user("UV_PUBLISH_USERNAME", "UV_PUBLISH_PASSWORD", s.first())
}

// poetry gets the password for the source that pyproject.toml names like the
// repository, and a repository of that name to publish to.
func poetry(s *setter) {
	for _, e := range s.endpoints {
		name := variable(e.Name)
		s.set("POETRY_REPOSITORIES_"+name+"_URL", e.Endpoint.String())
		s.user("POETRY_HTTP_BASIC_"+name+"_USERNAME", "POETRY_HTTP_BASIC_"+name+"_PASSWORD", e)
		s.unset("POETRY_PYPI_TOKEN_" + name)
	}
}

// pdm has variables for the password of the index. They override its configuration,
// which a password in the address would not.
func pdm(s *setter) {
	s.set("PDM_PYPI_URL", s.first().Endpoint.JoinPath("simple/").String())
	s.user("PDM_PYPI_USERNAME", "PDM_PYPI_PASSWORD", s.first())
	s.set("PDM_PUBLISH_REPO", s.first().Endpoint.String())
	s.user("PDM_PUBLISH_USERNAME", "PDM_PUBLISH_PASSWORD", s.first())
}

func twine(s *setter) {
	s.unset("TWINE_REPOSITORY")
	s.set("TWINE_REPOSITORY_URL", s.first().Endpoint.String())
	s.user("TWINE_USERNAME", "TWINE_PASSWORD", s.first())
}

// user sets a user name and a password. Behind the proxy, which adds the token, tools
// that require a password get one that is not a secret.
func (s *setter) user(name, password string, e project.Endpoint) {
	if e.Token.Password == "" {
		s.set(name, "aws")
		s.set(password, "none")
		return
	}
	s.set(name, e.Token.Username)
	s.secret(password, e.Token.Password, e)
}
