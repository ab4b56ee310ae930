"""What ``change_points.py`` judges with: series, scores, and the methods that ours is compared with."""
