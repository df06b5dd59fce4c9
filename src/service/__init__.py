"""What every service's process needs: checked settings and structured log lines. Imports nothing of ours."""
