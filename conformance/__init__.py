"""A black box over a base URL: does this server speak OpenAI's protocol? Knows no server, imports none."""
