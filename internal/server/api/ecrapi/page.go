package ecrapi

import "github.com/gatehouse-registry/gatehouse/internal/server/api/pagetoken"

// cursorOf reads the n texts of a nextToken, which are empty if there is none.
func cursorOf(page pagetoken.Scope, token *string, n int) ([]string, error) {
	cursor, err := page.Cursor(token, n)
	if err != nil {
		return nil, invalidParameter("nextToken", "The token is not one that this operation returned for the same parameters")
	}
	return cursor, nil
}

// defaultPage is the length of a page if the request does not say it.
const defaultPage = 100

func pageSize(maxResults *int32) int {
	if maxResults == nil {
		return defaultPage
	}
	return int(*maxResults)
}
