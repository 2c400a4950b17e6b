package login

import (
	"strconv"

	"github.com/gatehouse-registry/gatehouse/internal/client/shellquote"
)

// TokenArguments returns the arguments with which this program prints the
// repository's token, for configurations that start it: `gatehouse token
// codeartifact` with the options by which the target was found.
func (t Target) TokenArguments() []string {
	arguments := []string{"token", "codeartifact", "--domain", t.Domain}
	for _, option := range [][2]string{
		{"--domain-owner", t.Owner}, {"--region", t.Region}, {"--profile", t.AWS.Profile}, {"--endpoint-url", t.AWS.EndpointURL},
	} {
		if option[1] != "" {
			arguments = append(arguments, option[0], option[1])
		}
	}
	if t.Duration != 0 {
		arguments = append(arguments, "--duration", strconv.Itoa(int(t.Duration.Seconds())))
	}
	return arguments
}

// Export is the line of a POSIX shell that sets the variable to which the
// tool's configuration refers, with its newline; "" if there is none.
func (t Target) Export() string {
	if t.Variable == "" {
		return ""
	}
	return "export " + t.Variable + `="$(gatehouse ` + shellquote.Line(t.TokenArguments()...) + `)"` + "\n"
}
