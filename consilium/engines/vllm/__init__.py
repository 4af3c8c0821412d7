"""The engine that speaks to vLLM servers over HTTP; vLLM itself is never imported."""
