"""What AWS's users have: Jobs, the shadow, Greengrass components, and the payloads of AWS's own ML components."""
