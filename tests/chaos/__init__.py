"""Real processes in bad times: killed, stopped, cut off. What was answered holds, and nothing is left behind."""
