"""What is measured: servers on free ports, and engines in processes of their own."""
